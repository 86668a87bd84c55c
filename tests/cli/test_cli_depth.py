"""The command line with depth networks: choices, names, and what they cannot give."""

import shutil
from pathlib import Path

import pytest
import torch
from test_cli import refusal, run

from bokehdepth_core.cli.commands import depth as cli_depth
from bokehdepth_core.cli.options import network_dtype
from bokehdepth_core.files.depth_maps import read_depth
from bokehdepth_core.files.pictures.images import write_image
from bokehdepth_core.weights.reading import read_metadata, read_state_dict

HEIGHT, WIDTH = 33, 41
CHECKPOINTS = Path(__file__).parents[1] / "data" / "golden" / "checkpoints"
METRIC, WITH_CAMERA = (
    CHECKPOINTS / name for name in ("dav2_tiny_plain.pth", "udv2_tiny_training.pth")
)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """A folder with a textured photo."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    write_image("photo.png", torch.rand(HEIGHT, WIDTH, 3))
    return tmp_path


@pytest.mark.parametrize("name", ["dav2_tiny_plain.pth", "udv2_tiny_training.pth"])
def test_a_depth_network_needs_no_stack_and_its_depth_is_a_point_cloud(tmp_path, name):
    photo = tmp_path / "photo.png"
    write_image(photo, torch.rand(70, 84, 3))
    checkpoint = CHECKPOINTS / name
    out = tmp_path / "depth.npz"
    command = ["depth", str(photo), "--checkpoint", str(checkpoint), "-o"]
    assert run([*command, str(out)]) == 0
    depth = read_depth(out)
    assert depth.metric
    assert depth.depth.shape == (1, 70, 84)
    if depth.intrinsics is not None:  # UniDepth finds the camera itself
        assert run([*command, str(tmp_path / "cloud.ply")]) == 0
        assert (tmp_path / "cloud.ply").stat().st_size > 70 * 84 * 15


@pytest.fixture
def relative(scene):
    """A Depth Anything without DSFA, which knows no metres."""
    state = read_state_dict(METRIC)
    plain = {k: v.clone() for k, v in state.items() if not k.startswith("encoder_fusion.")}
    torch.save(plain, "relative.pth")
    return "relative.pth"


def depth_of(options, output):
    assert run(f"depth photo.png {options} -o {output}") == 0
    return read_depth(output).depth


@pytest.fixture
def stack(scene):
    write_image("blurred.png", torch.rand(HEIGHT, WIDTH, 3))
    return "--stack blurred.png --strengths 12 --resolution 0"


def test_every_attention_scale_can_be_chosen_and_trained_is_the_default(stack):
    given = {
        scale: depth_of(f"{stack} --checkpoint {METRIC} --attention-scale {scale}", "d.npz")
        for scale in ("trained", "single", "double")
    }
    assert torch.equal(depth_of(f"{stack} --checkpoint {METRIC}", "d.npz"), given["trained"])
    assert not torch.equal(given["single"], given["trained"])
    assert not torch.equal(given["double"], given["trained"])


def test_the_attention_scale_of_a_converted_file_is_kept(stack):
    wanted = depth_of(f"{stack} --checkpoint {METRIC} --attention-scale single", "d.npz")
    assert run(f"weights convert {METRIC} one.safetensors --attention-scale single") == 0
    assert run("weights convert one.safetensors two.safetensors") == 0
    for name in ("one", "two"):
        assert read_metadata(f"{name}.safetensors")["attention_scale"] == "single"
        found = depth_of(f"{stack} --checkpoint {name}.safetensors", "d.npz")
        assert torch.equal(found, wanted)
    other = depth_of(f"{stack} --checkpoint two.safetensors --attention-scale trained", "d.npz")
    assert torch.equal(other, depth_of(f"{stack} --checkpoint {METRIC}", "d.npz"))


def test_precision_resolution_and_range_reach_the_network(stack):
    base = f"--checkpoint {METRIC} --resolution"
    fine, coarse = (depth_of(f"{base} {level}", "d.npz") for level in (1, 0))
    assert not torch.equal(fine, coarse)
    assert torch.equal(depth_of(f"{base} 0 --precision fp32", "d.npz"), coarse)
    half = depth_of(f"{base} 0 --precision bf16", "d.npz")
    assert 1e-6 < ((half - coarse) / coarse).abs().mean() < 0.02  # bf16 has 8 bits: 0.4 % a step
    near = depth_of(f"{base} 0 --max-depth 20", "d.npz")
    torch.testing.assert_close(near, coarse / 4)  # 80 m as trained
    assert torch.equal(depth_of(f"{base} auto", "d.npz"), depth_of(f"{base} -1", "d.npz"))


@pytest.mark.parametrize(
    ("device", "capability", "wanted"),
    [
        ("cpu", None, torch.float32),
        ("cuda", (9, 0), torch.bfloat16),
        ("cuda", (7, 5), torch.float16),
        ("mps", None, torch.float16),
    ],
)
def test_automatic_precision_is_what_the_device_is_fast_at(device, capability, wanted, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.version, "hip", None)
    assert network_dtype("auto", torch.device(device)) == wanted
    assert network_dtype("fp32", torch.device(device)) == torch.float32


def test_a_relative_network_says_that_it_knows_no_metres(relative, capsys):
    depth_of(f"--checkpoint {relative}", "d.npz")
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "d.npz: normalised disparity (this checkpoint knows no metres; use a metric one)"
    metres = depth_of(f"--checkpoint {relative} --max-depth 20", "d.npz")
    assert read_depth("d.npz").metric
    assert metres.max() <= 20


@pytest.fixture
def never_estimating(monkeypatch):
    """Networks load, and fail the test when they run."""
    load = cli_depth.load_depth_estimator

    class Loaded:
        def __init__(self, network):
            self.network = network

    monkeypatch.setattr(
        cli_depth,
        "load_depth_estimator",
        lambda *args, **options: Loaded(load(*args, **options).network),
    )


def test_what_a_network_cannot_give_is_refused_before_it_runs(
    relative, stack, capsys, never_estimating
):
    cloud = "-o cloud.ply --focal-length-px 50"
    sweep = f"depth photo.png {stack.removesuffix('--resolution 0')} -o d.npz"
    for command, message in (
        (
            f"depth photo.png --checkpoint {relative} {cloud}",
            "output: a point cloud needs metres; this checkpoint knows no metres; use a metric",
        ),
        (
            f"depth photo.png --checkpoint {METRIC} -o cloud.ply",
            "output: a point cloud needs the view",
        ),
        (
            f"depth photo.png --checkpoint {METRIC} --focus-distance 2 -o d.npz",
            "focus_distance: a checkpoint finds its metres itself",
        ),
        (
            f"depth photo.png --checkpoint {WITH_CAMERA} --attention-scale single -o d.npz",
            "only Depth Anything with DSFA leaves it open, and this checkpoint is UniDepth.",
        ),
        (
            f"depth photo.png --checkpoint {relative} --attention-scale double -o d.npz",
            "this checkpoint is DepthAnything without DSFA.",
        ),
        (
            f"depth photo.png --checkpoint {WITH_CAMERA} --max-depth 9 -o d.npz",
            "max_depth: UniDepth",
        ),
        (
            f"depth photo.png --checkpoint {METRIC} --max-depth -9 -o d.npz",
            "max_depth: must be above 0",
        ),
        (
            f"depth photo.png --checkpoint {METRIC} --resolution 10 -o d.npz",
            "'10' is no level; use 0",
        ),
        (f"{sweep} --resolution 3", "resolution: the built-in estimator has no such choice"),
        (f"{sweep} --precision fp16", "precision: the built-in"),
        (f"{sweep} --max-depth 5", "leave --max-depth out"),
        (f"{sweep} --attention-scale single", "leave --attention-scale out"),
    ):
        assert message in refusal(command, capsys)
    assert not list(Path().glob("d.npz")) + list(Path().glob("*.ply"))


def test_a_given_camera_makes_a_point_cloud_of_a_network_that_finds_none(scene):
    assert run(f"depth photo.png --checkpoint {METRIC} --focal-length-px 50 -o cloud.ply") == 0
    assert (scene / "cloud.ply").stat().st_size > HEIGHT * WIDTH * 15


def test_names_are_looked_up_in_the_weights_folder(scene, capsys, monkeypatch):
    folder = scene / "weights"
    folder.mkdir()
    monkeypatch.setenv("BOKEHDEPTH_MODELS", str(folder))
    name = "DAV2_dsfa_release.pth"
    command = f"depth photo.png --checkpoint {name} -o d.npz"
    missing = (
        f"bokehdepth: {name}: not in {folder} yet. Get it with: bokehdepth weights download {name}"
    )
    assert refusal(command, capsys) == missing
    shutil.copy(METRIC, folder / name)
    assert run(command) == 0
    assert run(f"weights convert {name}") == 0  # beside it
    assert (folder / "DAV2_dsfa_release.safetensors").is_file()
    (scene / name).write_bytes(b"")  # a local file wins
    assert "is not a weight file" in refusal(command, capsys)
    assert "own.pth: no such weight file" in refusal(command.replace(name, "own.pth"), capsys)


def test_both_parts_of_the_stage_one_network_are_looked_up(scene, capsys, monkeypatch):
    monkeypatch.setenv("BOKEHDEPTH_MODELS", str(scene / "weights"))
    command = "stack photo.png --strengths 9 -o out --adapter bokeh_lora.bin --base-model"
    line = refusal(f"{command} FLUX.1-Kontext-dev", capsys)
    assert line.endswith("bokehdepth weights download bokeh_lora.bin")
    (scene / "weights").mkdir()
    (scene / "weights" / "bokeh_lora.bin").write_bytes(b"")
    assert "hf download black-forest-labs" in refusal(f"{command} FLUX.1-Kontext-dev", capsys)
    assert "bokeh_lora.bin: is not a weight file" in refusal(f"{command} owner/name", capsys)


def test_the_example_in_the_docs_runs(scene):
    page = (Path(__file__).parents[2] / "docs" / "depth.md").read_text(encoding="utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    for name in ("photo.jpg", "f4.jpg", "f2.jpg"):
        write_image(name, torch.rand(HEIGHT, WIDTH, 3))
    shutil.copy(WITH_CAMERA, "UDv2_dsfa_release.pth")
    exec(example, {})
    depth = read_depth("depth.exr")
    assert depth.metric
    assert depth.intrinsics is not None
    assert (scene / "cloud.ply").stat().st_size > HEIGHT * WIDTH * 15


def test_a_mask_of_the_subject_gives_relative_depth(scene, capsys):
    mask = torch.zeros(HEIGHT, WIDTH, 3)
    mask[8:28, 10:30] = 1
    write_image("mask.png", mask)
    assert run("depth photo.png --subject mask.png --separation 1 --no-ground -o d.exr") == 0
    said = capsys.readouterr()
    assert "rough guess" in said.err
    assert "normalised disparity" in said.out
    depth = read_depth("d.exr")
    assert not depth.metric
    assert torch.isinf(depth.depth[0, 0]).all()
    assert run("render photo.png d.exr --strength 4 -o blurred.png") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--strengths 4", "strengths: a mask alone gives the depth. Leave --strengths out."),
        ("--checkpoint x.pth", "checkpoint: a mask alone gives the depth."),
        ("--separation 2", "separation: "),
    ],
)
def test_what_a_mask_takes_no_notice_of_is_refused(scene, capsys, options, message):
    write_image("mask.png", torch.ones(HEIGHT, WIDTH, 3))
    assert message in refusal(f"depth photo.png --subject mask.png {options} -o d.exr", capsys)
