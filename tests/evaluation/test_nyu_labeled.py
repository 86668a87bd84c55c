"""NYU Depth V2 in its authors' own files: tiny ones of the same layout."""

import numpy as np
import pytest
import torch
from test_photo_sets import evaluate

from bokehdepth_core.evaluation.photo_sets import find_photos

h5py = pytest.importorskip("h5py", reason="h5py reads HDF5; pip install h5py")
savemat = pytest.importorskip("scipy.io", reason="scipy reads MATLAB 5").savemat

COUNT, WIDTH, HEIGHT = 4, 32, 24


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 3, WIDTH, HEIGHT), np.uint8)


@pytest.fixture
def nyu(tmp_path, images):
    depths = np.full((COUNT, WIDTH, HEIGHT), 2.5, np.float32)
    depths[:, 3, 5] = 0
    depths[2] *= 2
    write(tmp_path, images=images, rawDepths=depths, depths=np.ones_like(depths))
    savemat(tmp_path / "splits.mat", {"testNdxs": [[3], [2]], "trainNdxs": [[1], [4]]})
    return tmp_path


def write(folder, **tables):
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        for name, values in tables.items():
            file.create_dataset(name, data=values, chunks=True, compression="gzip")


def test_the_test_split_is_read_with_measured_depth(nyu, images):
    found = find_photos(nyu, "nyu")
    assert [one.name for one in found.photos] == ["00002", "00003"]
    sample = found[1].sample
    wanted = torch.from_numpy(images[2].transpose(2, 1, 0) / np.float32(255))
    assert torch.equal(sample.pictures[0], wanted)
    assert not sample.known[5, 3]
    assert sample.known.sum() == WIDTH * HEIGHT - 1
    torch.testing.assert_close(sample.disparity[sample.known], torch.full((767,), 0.2))


def without_split(folder):
    (folder / "splits.mat").unlink()


def split_of_another_set(folder):
    savemat(folder / "splits.mat", {"testNdxs": [[3], [9]]})


def no_split(folder):
    (folder / "splits.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))


def no_hdf5(folder):
    (folder / "nyu_depth_v2_labeled.mat").write_bytes(b"no HDF5" * 100)


def other_sizes(folder):
    write(folder, images=np.zeros((4, 3, 8, 8), np.uint8), rawDepths=np.ones((4, 8, 9)))


def link_outside(folder):
    with h5py.File(folder / "other.h5", "w") as file:
        file["images"] = np.zeros((4, 3, 8, 8), np.uint8)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = h5py.ExternalLink("other.h5", "images")
        file["rawDepths"] = np.ones((4, 8, 8))


def numbers_outside(folder):
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        outside = [("splits.mat", 0, 4 * 3 * 8 * 8)]
        file.create_dataset("images", (4, 3, 8, 8), np.uint8, external=outside)
        file["rawDepths"] = np.ones((4, 8, 8))


def large_pieces(folder):
    shape = (4, 3, 4000, 4000)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        file.create_dataset("images", shape, np.uint8, chunks=shape, compression="gzip")
        file["rawDepths"] = np.ones((4, 8, 8))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_split, "splits.mat: not there"),
        (split_of_another_set, "testNdxs runs from 3 to 9"),
        (no_split, "splits.mat: no testNdxs in it"),
        (no_hdf5, "nyu_depth_v2_labeled.mat: no HDF5 file"),
        (other_sizes, "do not belong together"),
        (link_outside, "no table images of 4 axes in it"),
        (numbers_outside, "no table images of 4 axes in it"),
        (large_pieces, "packed in pieces of 192000000 bytes"),
    ],
)
def test_files_that_are_none_of_the_set_are_named(nyu, spoil, said):
    spoil(nyu)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        find_photos(nyu, "nyu")[0]


def test_what_reads_it_is_named_where_it_is_missing(nyu, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ValueError, match="pip install h5py scipy"):
        find_photos(nyu, "nyu")


def test_the_command_says_it_in_one_line(nyu, capsys):
    without_split(nyu)
    code, _, err = evaluate(capsys, "--checkpoint", "x.pth", "--nyu", nyu)
    assert code == 2
    assert err.count("\n") == 1
