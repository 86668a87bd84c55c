"""NYUv2, iBims-1 and ETH3D on disk: tiny sets of the same layout."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from bokehdepth_core import cli
from bokehdepth_core.depth.networks.small import SmallDepth, SmallShape
from bokehdepth_core.evaluation.photo_sets import find_photos

SIZE = (24, 32)


def photo(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(values).save(path, "JPEG" if path.suffix.lower() == ".jpg" else "PNG")


def codes(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint16)).save(path)


@pytest.fixture
def nyu(tmp_path):
    for number, depth in (("00045", 2500), ("00046", 1250)):
        photo(tmp_path / "bathroom" / f"rgb_{number}.jpg")
        plane = np.full(SIZE, depth)
        plane[:2] = 0
        codes(tmp_path / "bathroom" / f"sync_depth_{number}.png", plane)
    photo(tmp_path / "bathroom" / "rgb_00047.jpg")  # without depth: no part of the set
    return tmp_path


@pytest.fixture
def ibims(tmp_path):
    photo(tmp_path / "rgb" / "hall_01.png")
    codes(tmp_path / "depth" / "hall_01.png", np.full(SIZE, 6554))
    for name, column in (("mask_invalid", 0), ("mask_transp", 5)):
        mask = np.ones(SIZE, bool)
        mask[:, column] = False
        (tmp_path / name).mkdir()
        Image.fromarray(mask).save(tmp_path / name / "hall_01.png")  # 1 bit
    return tmp_path


@pytest.fixture
def eth3d(tmp_path):
    photo(tmp_path / "courtyard" / "images" / "dslr_images" / "DSC_0286.JPG")
    depth = np.full(SIZE, 8.0, "<f4")
    depth[:, :16] = 4.0
    depth[3] = np.inf
    folder = tmp_path / "courtyard" / "ground_truth_depth" / "dslr_images"
    folder.mkdir(parents=True)
    depth.tofile(folder / "DSC_0286.JPG")
    return tmp_path


def test_nyu_is_in_millimetres_and_0_is_not_measured(nyu):
    found = find_photos(nyu, "nyu")
    assert [one.name for one in found.photos] == ["bathroom/00045", "bathroom/00046"]
    sample = found[0].sample
    assert sample.pictures.shape == (1, *SIZE, 3)
    assert not sample.known[:2].any()
    assert sample.known[2:].all()
    torch.testing.assert_close(sample.disparity[2:], torch.full((22, 32), 1 / 2.5))


def test_the_eigen_crop_compares_the_middle_alone(nyu, tmp_path):
    with pytest.raises(ValueError, match="Eigen crop is of 480x640"):
        find_photos(nyu, "nyu", eigen_crop=True)[0]
    room = tmp_path / "one" / "office"
    photo(room / "rgb_00001.jpg", (480, 640))
    codes(room / "sync_depth_00001.png", np.full((480, 640), 1000))
    known = find_photos(tmp_path / "one", "nyu", eigen_crop=True)[0].sample.known
    rows, columns = known.any(1).nonzero()[:, 0], known.any(0).nonzero()[:, 0]
    assert (int(rows[0]), int(rows[-1]) + 1) == (45, 471)
    assert (int(columns[0]), int(columns[-1]) + 1) == (41, 601)
    assert known[45:471, 41:601].all()


def test_ibims_leaves_out_what_either_mask_says(ibims):
    sample = find_photos(ibims, "ibims")[0].sample
    wrong = torch.zeros(SIZE, dtype=torch.bool)
    wrong[:, [0, 5]] = True
    assert torch.equal(sample.known, ~wrong)
    # 16 bits over 50 m: a step is 0.8 mm.
    assert float(1 / sample.disparity[0, 1]) == pytest.approx(6554 * 50 / 65535, rel=1e-5)


@pytest.mark.parametrize("inside", ["", "courtyard"])
def test_eth3d_is_float32_of_the_photos_size_behind_the_photos_name(eth3d, inside):
    found = find_photos(eth3d / inside, "eth3d")
    assert [one.name for one in found.photos] == ["courtyard/DSC_0286"]
    sample = found[0].sample
    assert not sample.known[3].any()
    assert int(sample.known.sum()) == 23 * 32
    assert sample.disparity[0, [0, 15, 16, 31]].tolist() == [0.25, 0.25, 0.125, 0.125]


def test_larger_photos_become_smaller_and_their_depth_is_never_mixed(eth3d):
    height, width = 60, 90
    root = eth3d / "courtyard"
    photo(root / "images" / "dslr_images" / "DSC_0286.JPG", (height, width))
    plane = np.random.default_rng(1).choice(np.float32([2, 4, 8]), (height, width))
    plane.tofile(root / "ground_truth_depth" / "dslr_images" / "DSC_0286.JPG")
    sample = find_photos(eth3d, "eth3d", longest=45)[0].sample
    assert sample.pictures.shape == (1, 30, 45, 3)
    assert set(sample.disparity.flatten().tolist()) == {0.5, 0.25, 0.125}
    assert find_photos(eth3d, "eth3d", longest=90)[0].sample.known.shape == (height, width)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    state = SmallDepth(SmallShape((4, 8), 16)).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


def evaluate(capsys, *arguments):
    try:
        code = cli.main(["evaluate", "depth", *map(str, arguments)])
    except SystemExit as error:  # of the argument parser
        code = error.code
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("kind", ["nyu", "ibims", "eth3d"])
def test_a_set_gives_a_table_of_the_photo_alone(kind, request, checkpoint, tmp_path, capsys):
    folder = request.getfixturevalue(kind)
    results = tmp_path / "all.csv"
    code, out, err = evaluate(
        capsys, "--checkpoint", checkpoint, f"--{kind}", folder, "--csv", results
    )
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(results.open()))
    assert {row["condition"] for row in rows} == {"none"}
    assert len(rows) == (2 if kind == "nyu" else 1)
    assert f"photos of {kind}" in out


def test_what_is_wrong_with_a_set_is_named(nyu, checkpoint, tmp_path, capsys):
    use = ("--checkpoint", checkpoint)
    depth = nyu / "bathroom" / "sync_depth_00045.png"
    codes(depth, np.full((8, 8), 1000))
    code, _, err = evaluate(capsys, *use, "--nyu", nyu)
    assert code == 2
    assert "sync_depth_00045.png: 8x8 px, its photo 24x32" in err
    code, _, err = evaluate(capsys, *use, "--nyu", nyu, "--on-bad", "skip")
    assert code == 0
    assert "skipped" in err
    codes(depth, np.zeros(SIZE))
    assert "holds no depth: every pixel is 0" in evaluate(capsys, *use, "--nyu", nyu)[2]
    empty = tmp_path / "empty"
    empty.mkdir()
    code, _, err = evaluate(capsys, *use, "--eth3d", empty)
    assert code == 2
    assert "laid out as eth3d is. Get it from eth3d.net" in err
    assert err.count("\n") == 1


def test_a_cut_off_depth_is_told_by_its_length(eth3d, checkpoint, capsys):
    depth = eth3d / "courtyard" / "ground_truth_depth" / "dslr_images" / "DSC_0286.JPG"
    depth.write_bytes(depth.read_bytes()[:-4])
    code, _, err = evaluate(capsys, "--checkpoint", checkpoint, "--eth3d", eth3d)
    assert code == 2
    assert "3068 bytes, expected 3072" in err


def test_a_photo_whose_depth_is_masked_altogether_is_named(ibims, checkpoint, capsys):
    Image.new("1", SIZE[::-1]).save(ibims / "mask_transp" / "hall_01.png")
    _, _, err = evaluate(capsys, "--checkpoint", checkpoint, "--ibims", ibims)
    assert "hall_01: no pixel with a known depth. Leave the photo out." in err


def test_a_missing_mask_is_named(ibims, checkpoint, capsys):
    (ibims / "mask_transp" / "hall_01.png").unlink()
    code, _, err = evaluate(capsys, "--checkpoint", checkpoint, "--ibims", ibims)
    assert code == 2
    assert "no such mask" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--nyu a", "built-in needs a stack, which --nyu has not"),
        ("--checkpoint x --ibims a --eigen-crop", "of NYUv2 alone"),
        ("--checkpoint x --ibims a --size 32", "--size is for made scenes"),
        ("--checkpoint x --ibims a --nan-depth unknown", "--nan-depth is for a manifest"),
        ("--eigen-crop", "--eigen-crop is for a set of photos"),
        ("--on-bad skip", "--on-bad is for a manifest"),
        ("--nyu a --ibims b", "not allowed with"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, said, checkpoint, tmp_path, capsys):
    (tmp_path / "a" / "rgb").mkdir(parents=True)
    options = options.replace("x", str(checkpoint)).replace(" a", f" {tmp_path / 'a'}")
    code, _, err = evaluate(capsys, *options.split())
    assert code == 2
    assert said in err
