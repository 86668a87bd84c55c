"""Bad depth files are refused in one line, within bounded memory."""

import struct
import zipfile

import numpy as np
import pytest
from depth_files import (
    METRES,
    close,
    tiff,
)

from bokehdepth_core import read_depth


def bomb(tmp_path):
    """An .npz whose array declares 4 · 10^10 values and holds none."""
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (200000, 200000), }"
    head = head.ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("depth.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pfm", b"Pf\n100000 100000\n-1\n", "declares 100000x100000 px, more than 178 million"),
        ("a.pfm", b"Pf\n100 100\n-1\n1234", "damaged PFM file"),
        ("a.pfm", b"P6 1 1 255 ", "damaged PFM file"),
        ("a.tif", b"II*\0\xff\xff\xff\xff", "damaged or cut off"),
        ("a.tif", tiff(METRES, "<")[:200], "damaged or cut off"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_depth(tmp_path / name)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_declared_arrays_are_refused_before_they_are_unpacked(tmp_path):
    bomb(tmp_path)
    with pytest.raises(ValueError, match=r"a\.npz: depth declares \[200000, 200000\], more than"):
        read_depth(tmp_path / "a.npz")


def test_only_the_wanted_array_is_unpacked(tmp_path):
    np.savez(tmp_path / "a.npz", depth=METRES, zz_pickle=np.array([object()], dtype=object))
    close(read_depth(tmp_path / "a.npz"))
