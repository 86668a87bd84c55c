"""The evaluation on ZEDD, on a tiny data set of the same layout."""

import csv
import shutil

import numpy as np
import pytest
import torch
import zedd_data
from PIL import Image

from bokehdepth_core.cli.program import main
from bokehdepth_core.evaluation.zedd import find_scenes
from bokehdepth_core.evaluation.zedd_run import ZeddOptions, focus_stack, lens_formula


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return zedd_data.write(tmp_path_factory.mktemp("ZEDD"))


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """Return the rows of the CSV file and what was printed, of one run over everything."""
    import contextlib
    import io

    path = tmp_path_factory.mktemp("out") / "zedd.csv"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        arguments = ["evaluate", "zedd", str(folder), "--height", "96", "--frames", "3"]
        assert main([*arguments, "--csv", str(path)]) == 0
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)), printed.getvalue()


def _rows(run, kind):
    return [one for one in run[0] if one["kind"] == kind]


def test_the_layout_is_found(folder):
    (scene,) = find_scenes(folder)
    assert scene.name == "val_0001"
    assert scene.runs == [1, 2, 3]
    assert scene.focal_length_at(48) == pytest.approx(zedd_data.FOCAL_PX / 2)
    assert len(scene.pictures) == 18


def test_holes_of_the_depth_are_not_compared(folder):
    truth = find_scenes(folder)[0].truth((96, 96))
    assert torch.isinf(truth[0, :2]).all()
    assert torch.isfinite(truth[0, 2:]).all()


def test_depth_of_the_focus_stack_is_near_the_truth(run):
    (row,) = _rows(run, "focus stack")
    # Measured: 0.038 and 0.98. What is wrong lies at the card's edge.
    assert float(row["abs_rel"]) < 0.06
    assert float(row["delta_125"]) > 0.95
    assert int(row["pixels"]) == 96 * 94


def test_depth_of_the_aperture_bracket_is_near_the_truth(run):
    (row,) = _rows(run, "aperture bracket")
    assert float(row["focus_m"]) == 0.9
    assert float(row["delta_125"]) > 0.92  # measured: 0.966


def test_the_renderer_is_compared_at_three_distances(run):
    rows = _rows(run, "renderer")
    assert [float(one["focus_m"]) for one in rows] == [0.9, 1.3, 2.6]
    # Measured: 38.7 dB and 0.975; f/16 itself against f/2.8 is far below.
    assert min(float(one["psnr"]) for one in rows) > 36
    assert min(float(one["ssim"]) for one in rows) > 0.96


def test_the_measured_radius_is_that_of_the_formula(folder):
    # At f/1.4 the blur is clear; the pictures were made with exactly the formula's K.
    results = lens_formula(find_scenes(folder)[0], ZeddOptions(height=96))
    assert results[0].f_number == 1.4
    assert results[0].radius_ratio == pytest.approx(1, abs=0.06)


def test_a_wrong_focal_length_shows_in_the_radius(folder):
    focal = zedd_data.FOCAL_PX * 36 / 96
    wrong = ZeddOptions(height=96, focal_length_mm=focal * 0.8)
    results = lens_formula(find_scenes(folder)[0], wrong)
    # K goes with the square of the focal length; the extension s / (s − f) changes a little too.
    assert results[0].radius_ratio > 1.4


def test_the_table_holds_the_means_and_the_published_row(run):
    lines = run[1].splitlines()
    assert lines[0].split()[-8:] == [
        *("AbsRel", "δ1.05", "δ1.15", "δ1.25", "AUSE", "PSNR", "SSIM", "radius"),
    ]
    assert any(line.startswith("focus stack") for line in lines)
    assert any("FOSSA" in line and "0.096" in line for line in lines)


def test_a_frame_of_another_view_is_said(folder, tmp_path, capsys):
    copy = tmp_path / "ZEDD"
    shutil.copytree(folder, copy)
    (photo,) = copy.rglob("img_run_2_*_F2.8.jpg")
    noise = np.random.default_rng(1).integers(0, 255, (zedd_data.SIZE, zedd_data.SIZE, 3))
    Image.fromarray(noise.astype(np.uint8)).save(photo)
    table = tmp_path / "zedd.csv"
    arguments = ["evaluate", "zedd", str(copy), "--height", "96", "--what", "render", "formula"]
    assert main([*arguments, "--csv", str(table)]) == 0
    printed = capsys.readouterr().out
    assert "val_0001, renderer: frame 1: not aligned: " in printed
    assert "val_0001, lens formula: frame 3: not aligned: " in printed
    with table.open(encoding="utf-8", newline="") as file:
        noted = [one["focus_m"] for one in csv.DictReader(file) if one["note"]]
    assert set(noted) == {"1.3"}


def test_a_lacking_picture_is_named(folder):
    scene = find_scenes(folder)[0]
    with pytest.raises(FileNotFoundError, match=r"run 1 at f/3\.5"):
        focus_stack(scene, ZeddOptions(height=96, f_number=3.5, frames=3))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metadata.txt", None, "no metadata.txt there. Download and unpack"),
        ("metadata.txt", "run_1 near", "metadata.txt: line 1: expected"),
        ("metadata.txt", "run_9\t6D3E\t0.9", "metadata.txt has no run_1"),
        ("val/val_0001/gt/K.txt", "1 2 3", "expected 3 x 3 numbers"),
        ("val/val_0001/gt/K.txt", "fx fy", "cannot read 3 x 3 numbers"),
    ],
)
def test_what_is_no_data_set_is_refused_in_one_line(tmp_path, capsys, name, content, message):
    for part in ("val/val_0001/focus_stack", "val/val_0001/gt"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "metadata.txt").write_text("run_1\t6D3E\t0.9")
    (tmp_path / "val/val_0001/gt/K.txt").write_text("9 0 1\n0 9 1\n0 0 1")
    (tmp_path / "val/val_0001/focus_stack/img_run_1_motor_6D3E_aperture_F1.4.jpg").touch()
    np.save(tmp_path / "val/val_0001/gt/depth.npy", np.ones((4, 4), np.float32))
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    assert main(["evaluate", "zedd", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
