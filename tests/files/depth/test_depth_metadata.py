"""Texts that go along with depth, in every kind of file."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from bokehdepth_core.datatypes import DepthMap
from bokehdepth_core.files.depth_maps import read_depth, write_depth
from bokehdepth_core.files.exr import read_exr
from bokehdepth_core.optics.camera import intrinsics_from_focal_length

TEXTS = {"prompt": json.dumps({"1": {"class_type": "画像\n"}}), "workflow": "{}"}


@pytest.mark.parametrize("name", ["a.exr", "a.png", "a.npz", "a.ply"])
def test_texts_are_in_the_file_and_depth_is_unchanged(tmp_path, name):
    depth = DepthMap(torch.rand(1, 5, 7) + 1, None, intrinsics_from_focal_length(9.0, 7, 5))
    write_depth(tmp_path / name, depth, metadata=TEXTS)
    if name == "a.exr":
        found = read_exr(tmp_path / name)[0].header
    elif name == "a.png":
        found = Image.open(tmp_path / name).text
    elif name == "a.npz":
        arrays = np.load(tmp_path / name, allow_pickle=False)
        found = {text: str(arrays[f"text_{text}"]) for text in TEXTS}
    else:
        lines = (tmp_path / name).read_bytes().split(b"end_header")[0].decode("ascii").split("\n")
        comments = [line.split(" ", 2)[1:] for line in lines if line.startswith("comment ")]
        found = {text: json.loads(rest) for text, rest in comments if text in TEXTS}
    assert {text: found[text] for text in TEXTS} == TEXTS
    if name != "a.ply":
        plain = tmp_path / f"plain{name}"
        write_depth(plain, depth)
        assert torch.equal(read_depth(tmp_path / name).depth, read_depth(plain).depth)
