"""Manifests: every bad line and file is named, and skipped or refused as the option says."""

import json

import numpy as np
import pytest
import torch

from bokehdepth_core.files.pictures.images import write_image
from bokehdepth_core.training.manifest import read_manifest, write_manifest
from bokehdepth_core.training.samples import load_sample

GOOD = {"ref": "a.png", "depth": "a.npy", "stack": ["f.png"], "k": [10], "focus_depth": 2}


@pytest.fixture
def folder(tmp_path):
    """Photo, frame and depth of a wall at 4 m with one pixel that was not measured."""
    torch.manual_seed(0)
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a.png", "f.png"):
        write_image(data / name, torch.rand(6, 8, 3))
    depth = np.full((6, 8), 4.0, np.float32)
    depth[0, 0] = 0
    np.save(data / "a.npy", depth)
    (tmp_path / "out.png").write_bytes(b"")
    return data


def written(folder, *lines):
    path = folder / "m.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))
    return path


def test_a_line_of_the_published_form_is_a_sample(folder):
    (entry,) = read_manifest(written(folder, GOOD, ""))
    sample = load_sample(entry)
    assert sample.pictures.shape == (2, 6, 8, 3)
    assert sample.strengths.tolist() == [0, 10]
    assert sample.disparity[1:].eq(0.25).all()
    assert sample.known.sum() == 47
    assert not sample.known[0, 0]
    assert sample.focus_disparity == 0.5


def test_a_manifest_that_was_written_is_read_again(folder):
    entries = read_manifest(written(folder, GOOD))
    write_manifest(folder / "n.jsonl", entries)
    assert (folder / "n.jsonl").read_text(encoding="utf-8").count("\n") == 1
    (again,) = read_manifest(folder / "n.jsonl")
    assert again.frames == entries[0].frames
    assert again.focus_depth == 2


BAD = {
    "{not json": "no JSON",
    "[1]": "expected a JSON object, found list",
    "{}": "ref: expected a file name",
    json.dumps(GOOD | {"ref": "../out.png"}): "'../out.png' leads out of the manifest's folder",
    json.dumps(GOOD | {"depth": "none.npy"}): "depth: no file none.npy",
    json.dumps(GOOD | {"k": [10, 20]}): "1 frames in stack and 2 strengths",
    json.dumps(GOOD | {"k": [0]}): "k: must be above 0",
    json.dumps(GOOD | {"k": ["ten"]}): "k: cannot read 'ten' as a number",
    json.dumps(GOOD | {"k": [10**400]}): "k: expected a finite number",
    json.dumps(GOOD | {"stack": "f.png"}): "stack: expected a list",
    json.dumps(GOOD | {"focus_depth": -1}): "focus_depth: must be above 0",
    "[" * 100_000: "no JSON",
}


@pytest.mark.parametrize(("line", "what"), BAD.items(), ids=BAD.values())
def test_a_bad_line_is_named_and_refused_or_skipped(folder, line, what):
    path = written(folder, GOOD, line, GOOD)
    with pytest.raises((ValueError, OSError)) as error:
        read_manifest(path)
    assert str(error.value).startswith("m.jsonl:2: ")
    assert what in str(error.value)
    said = []
    kept = read_manifest(path, on_bad="skip", report=said.append)
    assert [one.where for one in kept] == ["m.jsonl:1", "m.jsonl:3"]
    (line,) = said
    assert line == f"skipped {error.value}"


def test_a_file_outside_is_taken_where_that_is_allowed(folder):
    path = written(folder, GOOD | {"ref": "../out.png"})
    assert read_manifest(path, outside=True)[0].reference.name == "out.png"


def test_a_manifest_without_a_usable_line_is_refused(folder):
    with pytest.raises(ValueError, match=r"m\.jsonl: no usable line"):
        read_manifest(written(folder, "{"), on_bad="skip")
    with pytest.raises(ValueError, match=r"m\.jsonl:1: a line of more than 1048576 characters"):
        read_manifest(written(folder, " " * (1 << 21)), on_bad="skip")


def test_nan_in_depth_is_named_with_its_line_or_taken_for_not_measured(folder):
    depth = np.load(folder / "a.npy")
    depth[2, :3] = np.nan
    np.save(folder / "a.npy", depth)
    (entry,) = read_manifest(written(folder, GOOD))
    with pytest.raises(ValueError, match=r"m\.jsonl:1: a\.npy holds NaN in 3 pixels"):
        load_sample(entry)
    assert load_sample(entry, nan_is_unknown=True).known.sum() == 44


def test_frames_of_another_size_are_named_with_their_line(folder):
    write_image(folder / "f.png", torch.rand(6, 9, 3))
    (entry,) = read_manifest(written(folder, GOOD))
    with pytest.raises(ValueError, match=r"m\.jsonl:1: f\.png is 6x9, its photo 6x8"):
        load_sample(entry)
