import struct

import numpy as np
import OpenEXR
import pytest

from bokehdepth_core.files import exr
from bokehdepth_core.files.exr import channel_names, read_exr

SCANLINES = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
TILES = {
    "type": OpenEXR.tiledimage,
    "tiles": OpenEXR.TileDescription(),
    "compression": OpenEXR.PIZ_COMPRESSION,
}


def ramp(height=5, width=7, dtype=np.float32):
    return np.arange(height * width).reshape(height, width).astype(dtype)


def window(left, top, right, bottom):
    return np.array([left, top], np.int32), np.array([right, bottom], np.int32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint32])
@pytest.mark.parametrize("head", [SCANLINES, TILES])
def test_every_kind_of_number_comes_back_as_it_was_stored(tmp_path, head, dtype):
    OpenEXR.File(dict(head), {"Z": ramp(dtype=dtype)}).write(str(tmp_path / "a.exr"))
    (part,) = read_exr(tmp_path / "a.exr")
    assert part.plane("Z").dtype == dtype
    np.testing.assert_array_equal(part.plane("Z"), ramp())
    assert part.inside.all()
    assert not part.deep


def test_parts_keep_their_names_and_channels(tmp_path):
    parts = [
        OpenEXR.Part(dict(SCANLINES), {name: ramp() for name in "RGB"}, "beauty"),
        OpenEXR.Part(dict(TILES), {"depth.Z": ramp()}, "utility"),
    ]
    OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
    found = read_exr(tmp_path / "a.exr")
    assert [part.name for part in found] == ["beauty", "utility"]
    assert channel_names(found) == ["beauty:B", "beauty:G", "beauty:R", "utility:depth.Z"]


@pytest.mark.parametrize(("left", "top"), [(2, 1), (-3, -2), (6, 4), (20, 0)])
def test_a_data_window_lands_at_its_place(tmp_path, left, top):
    head = SCANLINES | {
        "displayWindow": window(1, 0, 8, 5),
        "dataWindow": window(left, top, left + 6, top + 4),
    }
    OpenEXR.File(head, {"Z": ramp() + 1}).write(str(tmp_path / "a.exr"))
    (part,) = read_exr(tmp_path / "a.exr")
    assert part.size == (6, 8)
    for y in range(6):
        for x in range(8):
            row, column = y - top, x + 1 - left  # the display window starts at x = 1
            stored = 0 <= row < 5 and 0 <= column < 7
            assert part.inside[y, x] == stored
            assert part.plane("Z")[y, x] == (row * 7 + column + 1 if stored else 0)


def test_samples_of_a_deep_file_stay_lists(tmp_path):
    samples = np.empty((2, 2), object)
    samples[0, 1] = np.array([3.0, 1.0], np.float32)
    head = {"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}
    OpenEXR.File(head, {"Z": samples}).write(str(tmp_path / "a.exr"))
    (part,) = read_exr(tmp_path / "a.exr")
    assert part.deep
    assert part.samples("Z")[0, 0] is None
    assert part.samples("Z")[0, 1].tolist() == [3.0, 1.0]


def test_any_name_and_any_suffix_will_do(tmp_path):
    name = tmp_path / "深度 %d:é.bin"
    OpenEXR.File(dict(SCANLINES), {"Z": ramp()}).write(str(tmp_path / "a.exr"))
    (tmp_path / "a.exr").rename(name)
    assert read_exr(name)[0].size == (5, 7)


def test_declared_sizes_are_refused_before_they_are_allocated(tmp_path, monkeypatch):
    OpenEXR.File(dict(SCANLINES), {"Z": ramp()}).write(str(tmp_path / "a.exr"))
    whole = (tmp_path / "a.exr").read_bytes()
    for name, corner, message in (
        ("pixels.exr", (99_999, 99_999), r"pixels\.exr: declares 100000x100000 px, more than 178"),
        ("table.exr", (99, 999_999), r"table\.exr: damaged EXR file"),
    ):
        old = struct.pack("<4i", 0, 0, 6, 4)
        assert whole.count(old) == 2  # the two windows
        (tmp_path / name).write_bytes(whole.replace(old, struct.pack("<4i", 0, 0, *corner)))
        with pytest.raises(ValueError, match=message):
            read_exr(tmp_path / name)
    monkeypatch.setattr(exr, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match=r"a\.exr: unpacks to 0\.0 GiB, more than"):
        read_exr(tmp_path / "a.exr")


def test_a_deep_file_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    samples = np.empty((2, 2), object)
    samples[0, 1] = np.array([3.0], np.float32)
    head = {"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}
    OpenEXR.File(head, {"Z": samples}).write(str(tmp_path / "a.exr"))
    monkeypatch.setattr(exr, "MAX_DEEP_CELLS", 3)
    with pytest.raises(ValueError, match=r"a\.exr: a deep EXR of 2x2 px with 1 channels"):
        read_exr(tmp_path / "a.exr")


@pytest.mark.parametrize("kind", ["deepscanline", "deeptile"])
@pytest.mark.parametrize("several", [False, True])
def test_deep_samples_are_counted_before_they_are_unpacked(tmp_path, monkeypatch, kind, several):
    samples = np.empty((3, 2), object)
    samples[0, 1], samples[2, 0] = np.ones(1000, np.float32), np.ones(50, np.float32)
    head = {"type": getattr(OpenEXR, kind), "compression": OpenEXR.ZIPS_COMPRESSION}
    if kind == "deeptile":
        head["tiles"] = OpenEXR.TileDescription()
    parts = [OpenEXR.Part(dict(head), {"Z": samples, "A": samples}, "deep")]
    if several:
        flat = {"Y": np.zeros((3, 2), np.float32)}
        parts.insert(0, OpenEXR.Part(dict(SCANLINES), flat, "flat"))
    OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
    size = 2 * 1050 * 4
    monkeypatch.setattr(exr, "MAX_DEEP_BYTES", size)
    assert len(read_exr(tmp_path / "a.exr")[-1].samples("Z")[0, 1]) == 1000
    monkeypatch.setattr(exr, "MAX_DEEP_BYTES", size - 1)
    with pytest.raises(ValueError, match=r"a\.exr: its deep samples unpack to 0\.0 GiB"):
        read_exr(tmp_path / "a.exr")


def test_a_deep_file_that_lies_about_its_samples_is_refused(tmp_path):
    samples = np.empty((1, 1), object)
    samples[0, 0] = np.ones(1000, np.float32)
    head = {"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}
    OpenEXR.File(head, {"Z": samples}).write(str(tmp_path / "a.exr"))
    content = (tmp_path / "a.exr").read_bytes()
    size = struct.pack("<Q", 4000)
    assert content.count(size) == 1
    (tmp_path / "a.exr").write_bytes(content.replace(size, struct.pack("<Q", 4)))
    with pytest.raises(ValueError, match=r"a\.exr: damaged EXR file"):
        read_exr(tmp_path / "a.exr")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_cut_off_file_is_refused(tmp_path, share):
    noise = np.random.default_rng(0).random((60, 70)).astype(np.float32)
    OpenEXR.File(dict(SCANLINES), {"Z": noise}).write(str(tmp_path / "a.exr"))
    whole = (tmp_path / "a.exr").read_bytes()
    (tmp_path / "a.exr").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"a\.exr: damaged EXR file"):
        read_exr(tmp_path / "a.exr")


def test_other_files_and_missing_ones_are_named(tmp_path):
    (tmp_path / "a.exr").write_bytes(b"no exr")
    with pytest.raises(ValueError, match=r"a\.exr: damaged EXR file \(it is no EXR file\)"):
        read_exr(tmp_path / "a.exr")
    with pytest.raises(FileNotFoundError, match=r"none\.exr: no such EXR file\. Check the path\."):
        read_exr(tmp_path / "none.exr")
