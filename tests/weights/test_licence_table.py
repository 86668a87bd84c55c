"""The README names the terms of every published weight file."""

from pathlib import Path

import pytest

from bokehdepth_core.weights.published import PUBLISHED

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
TABLE = README.split("## Weights and licences")[1].split("## ")[0]


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.name)
def test_the_table_of_licences_has_every_file_and_its_terms(file):
    assert file.name in TABLE or ("Depth Anything V2" in TABLE and "anything" in file.name)
    assert file.terms.removeprefix("derives from ").replace("FLUX.1 ", "") in TABLE
