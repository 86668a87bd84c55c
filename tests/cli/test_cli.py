import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from bokehdepth_core import cli, render_bokeh
from bokehdepth_core.cli.commands import render as cli_render
from bokehdepth_core.datatypes import DepthMap
from bokehdepth_core.files.depth_maps import read_depth, write_depth
from bokehdepth_core.files.pictures.images import read_image, write_image
from bokehdepth_core.optics.aperture import Aperture

HEIGHT, WIDTH = 33, 41


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """A folder with a textured photo and its depth: a wall at 4 m, a card at 1 m before it."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    write_image("photo.png", torch.rand(HEIGHT, WIDTH, 3))
    depth = torch.full((1, HEIGHT, WIDTH), 4.0)
    depth[:, 10:25, 12:30] = 1.0
    write_depth("depth.exr", DepthMap(depth))
    return tmp_path


def run(command):
    return cli.main(command.split() if isinstance(command, str) else command)


def refusal(command, capsys):
    """Run a command that must fail for bad input and return its one line."""
    with _Exit() as code:
        code.value = run(command)
    assert code.value == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.endswith("\n")
    return error.strip()


class _Exit:
    """Take the exit code from `main`, whether returned or raised by the argument parser."""

    value = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is SystemExit:
            self.value = error.code
            return True
        return False


def test_a_stack_and_its_depth_come_back(scene, capsys):
    assert run("stack photo.png --depth depth.exr --strengths 4,8 --bits 16 -o stack") == 0
    record = json.loads((scene / "stack" / "stack.json").read_text(encoding="utf-8"))
    frames = [entry["file"] for entry in record["frames"]]
    assert [entry["strength"] for entry in record["frames"]] == [4.0, 8.0]
    assert record["settings"]["focus_depth"] == pytest.approx(1.0)
    assert sorted(one.name for one in (scene / "stack").iterdir()) == sorted(
        [*frames, "reference.png", "stack.json"]
    )
    files = [str(scene / "stack" / name) for name in frames]
    command = ["depth", "photo.png", "--stack", *files, "--strengths", "4,8", "-o", "found.exr"]
    assert run([*command, "--focus-distance", "1", "--focal-length-px", "50"]) == 0
    found = read_depth("found.exr")
    assert found.metric
    assert found.intrinsics[0, 0, 0] == 50
    card = found.depth[0, 14:21, 16:26]
    # In focus: blur below a quarter of a pixel at K = 8, which is 0.03 per metre.
    assert (card.reciprocal() - 1.0).abs().median() < 0.03
    assert "found.exr: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--depth depth.exr --steps 9", "steps: the built-in generator takes no --steps"),
        ("--depth depth.exr --fast", "fast: the built-in generator takes no --fast"),
        ("--depth depth.exr --base-model f", "base_model: the built-in generator takes no --base"),
        ("--adapter a --base-model f --depth d", "depth: with --adapter no --depth is taken"),
        ("--adapter a --base-model f --blades 0", "blades: with --adapter no --blades is taken"),
        ("--adapter a --base-model f --focus-point 0,0", "focus_point: with --adapter no"),
        ("--depth depth.exr --steps 0", "steps: the built-in generator takes no --steps"),
        ("--depth depth.exr --focus-distance 1 --focus-point 0,0", "focus_point: leave --focus-po"),
    ],
)
def test_options_of_the_other_generator_are_refused(scene, capsys, options, message):
    assert run(f"stack photo.png --strengths 4 -o stack {options}") == 2
    assert message in capsys.readouterr().err


def test_depth_without_a_focus_distance_claims_no_metres(scene, capsys):
    run("stack photo.png --depth depth.exr --strengths 6 -o stack")
    assert run("depth photo.png --stack stack/frame_01_k6.png --strengths 6 -o d.png") == 0
    assert not read_depth("d.png").metric
    assert "normalised disparity" in capsys.readouterr().out


def test_rendering_without_strength_writes_the_photo_itself(scene):
    assert run("render photo.png depth.exr --strength 0 -o same.png") == 0
    assert torch.equal(read_image("same.png"), read_image("photo.png"))


def test_depth_of_another_size_is_fitted_and_said_so(scene, capsys):
    write_image(scene / "small.png", torch.rand(5, 6, 1).expand(-1, -1, 3))
    assert run("render photo.png small.png --strength 5 -o out.png") == 0
    assert read_image("out.png").shape == read_image("photo.png").shape
    size = f"{HEIGHT}x{WIDTH}"
    assert f"small.png: depth of 5x6 made {size} like the image" in capsys.readouterr().err


def test_rendering_keeps_the_focus_and_blurs_the_rest(scene):
    assert run("render photo.png depth.exr --strength 6 --focus-point 0.5,0.5 -o out.png") == 0
    change = (read_image("out.png") - read_image("photo.png")).abs().mean(-1)
    assert change[12:23, 14:28].max() < 0.01
    assert change[:4].mean() > 0.05


def test_a_lens_equals_its_strength(scene):
    # f = 50 mm on full frame, N = 2, s = 1 m: K = f² s / (2 N (s − f)) · W / w.
    width_mm = 43.27 / math.hypot(1, HEIGHT / WIDTH)
    strength = 0.05**2 / (2 * 2 * 0.95) * 1000 * WIDTH / width_mm
    lens = "--f-number 2 --focal-length-mm 50 --focal-length-35mm 50 --focus-distance 1"
    assert run(f"render photo.png depth.exr {lens} -o lens.png") == 0
    assert run(f"render photo.png depth.exr --strength {strength} --focus-distance 1 -o k.png") == 0
    assert torch.equal(read_image("lens.png"), read_image("k.png"))


def test_every_shape_of_the_opening_reaches_the_renderer(scene):
    lens = "--blades 6 --rotation 15 --anamorphic 0.7 --blade-curvature 0.4"
    lens += " --spherical-aberration 0.5 --cat-eye 0.3"
    assert run(f"render photo.png depth.exr --strength 9 --focus-distance 1 {lens} -o o.png") == 0
    wanted = render_bokeh(
        read_image("photo.png")[None],
        read_depth("depth.exr").depth,
        9.0,
        1.0,
        aperture=Aperture(6, 15.0, 0.7, 0.4, 0.5, 0.3),
    )
    write_image("wanted.png", wanted, 8)
    assert torch.equal(read_image("o.png"), read_image("wanted.png"))


def test_a_known_background_reaches_the_renderer(scene):
    write_image("behind.png", torch.rand(HEIGHT, WIDTH, 3))
    write_depth("wall.exr", DepthMap(torch.full((1, HEIGHT, WIDTH), 4.0)))
    known = "--background behind.png --background-depth wall.exr"
    assert run(f"render photo.png depth.exr --strength 9 --focus-distance 4 {known} -o o.png") == 0
    wanted = render_bokeh(
        read_image("photo.png")[None],
        read_depth("depth.exr").depth,
        9.0,
        4.0,
        background=read_image("behind.png")[None],
        background_depth=read_depth("wall.exr").depth,
    )
    write_image("wanted.png", wanted, 8)
    assert torch.equal(read_image("o.png"), read_image("wanted.png"))


def test_a_depth_picture_from_elsewhere_renders_too(scene):
    Image.fromarray(np.full((HEIGHT, WIDTH), 128, np.uint8)).save("near_is_white.png")
    assert run("render photo.png near_is_white.png --strength 9 -o out.png") == 0
    assert torch.equal(read_image("out.png"), read_image("photo.png"))  # flat: all in focus


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("depth photo.png --stack photo.png --strengths ten -o d.exr", "cannot read 'ten'"),
        ("depth photo.png --stack photo.png --strengths 1,2 -o d.exr", "2 given for 1 frames"),
        ("depth photo.png --stack photo.png --strengths -1 -o d.exr", "strengths"),
        ("depth photo.png --stack photo.png --strengths nan -o d.exr", "strengths: expected a fin"),
        ("depth photo.png --stack none.png --strengths 1 -o d.exr", "none.png: no such picture"),
        ("depth photo.png --stack photo.png --strengths 1 -o d.tif", "d.tif: unknown kind"),
        ("depth photo.png --stack photo.png --strengths 1 -o no/d.exr", "folder no does not exist"),
        ("depth photo.png --stack photo.png --strengths 1 -o d.ply", "output: a point cloud needs"),
        ("depth photo.png --stack small.png --strengths 1 -o d.exr", "small.png: 5x6, the image"),
        (
            "depth photo.png --stack photo.png --strengths 1 --focus-distance 0 -o d.exr",
            "focus_distance: must be above 0",
        ),
        ("render photo.png text.png --strength 5 -o o.png", "text.png: cannot be read"),
        ("render photo.png depth.exr --strength -5 -o o.png", "strength: expected at least 0"),
        (
            "render photo.png depth.exr --strength 5 --focus-point 2,0 -o o.png",
            "2,0 lies outside the picture",
        ),
        ("render photo.png depth.exr --strength 5 --focus-point 2 -o o.png", "cannot read '2' as"),
        ("render photo.png depth.exr --strength 5 --focus-distance 0 -o o.png", "focus_distance: "),
        ("render photo.png depth.exr --strength 5 --blades 2 -o o.png", "blades: expected"),
        (
            "render photo.png depth.exr --strength 5 --cat-eye 2 -o o.png",
            "cat_eye: expected 0 to 1",
        ),
        ("depth photo.png --stack photo.png --strengths 1 --cat-eye 0.5 -o d.exr", "cat_eye"),
        ("render photo.png depth.exr --strength 5 --background photo.png -o o.png", "background_d"),
        ("render photo.png depth.exr --strength 5 --background-depth depth.exr -o o.png", "backgr"),
        (
            "render photo.png depth.exr --strength 5 -o o.png --background photo.png "
            "--background-depth near.png",
            "near.png: one of the two depths is in metres",
        ),
        ("render photo.png depth.exr --strength 5 -o o.xyz", "o.xyz: pictures of this kind"),
        ("render photo.png depth.exr --strength 5 --device nowhere -o o.png", "device: "),
        ("render photo.png depth.exr --f-number 2 -o o.png", "Give --strength, or --focal-length-"),
        ("render photo.png nan.npz --strength 5 -o o.png", "nan.npz: holds no depth: every pixel"),
        ("render photo.png --strength 5 -o o.png", "depth: none given, and no person found"),
        ("render photo.png small.png --strength", "argument --strength: expected one argument"),
        ("stack photo.png --depth depth.exr --strengths , -o out", "strengths: is empty"),
        ("stack photo.png --depth near.png --focus-distance 2 --strengths 5 -o out", "no metres"),
        ("stack photo.png --depth depth.exr --strengths 5 -o photo.png", "is an input as well"),
        ("demo --output photo.png", "output: photo.png is a file"),
        ("", "the following arguments are required: command"),
    ],
)
def test_bad_input_gives_one_line_and_writes_nothing(scene, capsys, command, message):
    Image.new("RGB", (6, 5)).save("small.png")
    Image.new("L", (WIDTH, HEIGHT), 128).save("near.png")
    (scene / "text.png").write_text("text")
    np.savez("nan.npz", depth=np.full((HEIGHT, WIDTH), np.nan))
    before = sorted(scene.rglob("*"))
    assert message in refusal(command, capsys)
    assert sorted(scene.rglob("*")) == before


def test_an_interrupt_ends_cleanly(scene, capsys, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_render, "render_lens_look", interrupted)
    before = sorted(scene.rglob("*"))
    assert run("render photo.png depth.exr --strength 5 -o o.png") == 130
    assert "interrupted" in capsys.readouterr().err
    assert sorted(scene.rglob("*")) == before


def test_weights_list_tells_what_is_here(tmp_path, capsys):
    (tmp_path / "bokeh_lora.bin").touch()
    (tmp_path / "my_depth.safetensors").touch()
    assert run(["weights", "list", "--folder", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    here = {line.split()[0]: line.split()[-1] for line in lines[1:-2]}
    assert here["bokeh_lora.bin"] == "yes"
    assert here["my_depth.safetensors"] == "yes"
    assert here["UDv2_dsfa_release.pth"] == "no"
    assert lines[-1] == f"Folder: {tmp_path}"


@pytest.mark.slow
def test_the_demo_finds_depth_and_shows_it(tmp_path, capsys):
    assert run(["demo", "--output", str(tmp_path / "demo")]) == 0
    assert [one.name for one in (tmp_path / "demo").iterdir()] == ["contact_sheet.png"]
    sheet = read_image(tmp_path / "demo" / "contact_sheet.png")
    assert sheet.shape[0] > 1000
    text = capsys.readouterr().out
    assert "Depth against the truth: median error" in text
    share = float(text.split("max(10 %, 0.02/m): ")[1].split(" %")[0])
    assert share > 80


def test_depth_names_what_is_missing_of_its_stack(tmp_path, capsys):
    photo = tmp_path / "photo.png"
    write_image(photo, torch.rand(8, 9, 3))
    out = str(tmp_path / "depth.npz")
    for given, message in (
        (
            [],
            "stack: not given. Give blurred frames, --stack and --strengths, or a depth network",
        ),
        (["--stack", str(photo)], "strengths: not given. Give --stack and --strengths together."),
        (["--strengths", "10"], "stack: not given. Give --stack and --strengths together."),
    ):
        assert cli.main(["depth", str(photo), *given, "-o", out]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "depth.npz").exists()
