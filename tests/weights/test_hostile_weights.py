"""Weight files that are none, or made to do harm: one line each, at once, without the memory."""

import io
import json
import struct
import tracemalloc
import zipfile

import pytest
import torch

from bokehdepth_core.weights.errors import CheckpointError
from bokehdepth_core.weights.reading import read_config, read_state_dict


def saved(**content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def repacked(data, method=zipfile.ZIP_DEFLATED, extra=None):
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", method) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        if extra is not None:
            new.writestr("archive/data/9", extra)
    return buffer.getvalue()


def encrypted(data):
    """The archive with the flag of encryption in its table of contents."""
    changed = bytearray(data)
    place = changed.find(b"PK\x01\x02")
    changed[place + 8] |= 1
    return bytes(changed)


WEIGHTS = {"a": torch.ones(64)}
HOSTILE = {
    "text": (b"hello, these are weights\n", "is not a weight file"),
    "brackets": (b"[" * 1_000_000, "is not a weight file"),
    "one byte": (b"\x80", "is not a weight file"),
    "a zero": (b"\x00", "is not a weight file"),
    "deflated": (repacked(saved(**WEIGHTS)), "is compressed"),
    "lzma": (repacked(saved(**WEIGHTS), zipfile.ZIP_LZMA), "is compressed"),
    "bomb": (repacked(saved(**WEIGHTS), extra=bytes(200 << 20)), "is compressed"),
    "encrypted": (encrypted(saved(**WEIGHTS)), "is encrypted"),
    "bare protocol": (b"\x80\x02", ""),
    "deep pickle": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", ""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_in_one_line_without_their_memory(tmp_path, name):
    content, message = HOSTILE[name]
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(CheckpointError) as caught:
        read_state_dict(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    text = str(caught.value)
    assert text.startswith("file.pth: ")
    assert message in text
    assert "\n" not in text
    assert len(text) < 400
    assert peak < 64 << 20


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1 << 62], "data_offsets": [0, 1 << 62]}},
    ],
)
def test_huge_shapes_that_a_small_file_declares_are_refused(tmp_path, header):
    text = json.dumps(header).encode()
    path = tmp_path / "file.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(CheckpointError, match=r"^file\.safetensors: damaged"):
        read_state_dict(path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 50_000, "{" + " " * (2 << 20) + "}"])
def test_deep_and_huge_configurations_are_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"^config\.json: "):
        read_config(tmp_path)
