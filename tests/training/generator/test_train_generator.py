"""Training an adapter on a tiny random Kontext, through the command line."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from kontext_parts import STAGE1, load_transformer, make_pipeline, tiny_text_encoders
from needs_flux import skip_without_flux
from safetensors.torch import load_file, save_file

from bokehdepth_core import cli, load_bokeh_generator, read_image, write_image
from bokehdepth_core.generator.adapter import load_adapter
from bokehdepth_core.weights.reading import read_metadata

skip_without_flux()
pytest.importorskip("accelerate")

ROOT = Path(__file__).parents[3]
SIDE = 48
SMALL = ["--size", str(SIDE), "--precision", "fp32", "--rank", "4", "--alpha", "4", "--cpu"]
SMALL += ["--batch", "2", "--accumulate", "1", "--warmup", "2", "--samples", "0"]
SMALL += ["--validation-pairs", "8", "--looks", "2", "--frames", "2"]


@pytest.fixture(scope="module")
def base_model(tmp_path_factory):
    """The folder of a tiny random FLUX.1-Kontext with its text encoders."""
    folder = tmp_path_factory.mktemp("base") / "kontext"
    make_pipeline(load_transformer(STAGE1), tiny_text_encoders()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A manifest of two photos: one with a stack, one with depth alone."""
    folder = tmp_path_factory.mktemp("data")
    generator = torch.Generator().manual_seed(0)
    for name in "ab":
        write_image(folder / f"{name}.png", torch.rand(SIDE, SIDE + 8, 3, generator=generator))
    photo = read_image(folder / "a.png")
    for strength in (10, 20, 30):
        soft = photo.mean((0, 1)) * strength / 40 + photo * (1 - strength / 40)
        write_image(folder / f"a{strength}.png", soft)
    depth = np.full((SIDE, SIDE + 8), 4.0, np.float32)
    depth[12:, 18:38] = 1.0
    np.savez(folder / "b.npz", depth=depth)
    stack = {"ref": "a.png", "stack": [f"a{k}.png" for k in (10, 20, 30)], "k": [10, 20, 30]}
    lines = [stack, {"ref": "b.png", "depth": "b.npz"}]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder / "data.jsonl"


def command(base_model, data, output, *more):
    start = ["train", "generator", "--base-model", base_model, "--manifest", data, "-o", output]
    return [str(one) for one in (*start, *SMALL, *more)]


def states(folder, name="adapter"):
    return load_file(folder / f"{name}.safetensors")


@pytest.fixture(scope="module")
def whole(base_model, data, tmp_path_factory):
    """The folder of a run of five steps that nothing stopped."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    assert cli.main(command(base_model, data, folder, "--steps", "5", "--save-every", "2")) == 0
    return folder


def test_a_run_writes_an_adapter_that_says_what_it_is(whole):
    path = whole / "adapter.safetensors"
    metadata = read_metadata(path)
    assert metadata["base"] == "FLUX.1-Kontext"
    assert (metadata["alpha"], metadata["rank"]) == ("4", "4")
    assert float(metadata["strength_min"]) >= 1
    assert metadata["strength_max"] == "30"
    adapter = load_adapter(path)
    assert (adapter.rank, adapter.scale, adapter.layer_count) == (4, 1.0, 5)
    published = {key for key in states(whole) if key.startswith("adapter_modules.0.")}
    parts = ("to_v_dof", "to_q_adp", "to_k_adp")
    assert published == {
        f"adapter_modules.0.{part}.{side}.weight" for part in parts for side in ("down", "up")
    }


def test_a_run_that_was_killed_goes_on_to_the_same_bits(whole, base_model, data, tmp_path, capsys):
    first = command(base_model, data, tmp_path, "--save-every", "2", "--steps", "5")
    from bokehdepth_core.training import loop

    with pytest.MonkeyPatch.context() as patch:
        real, steps = loop._step, []

        def dies_in_step_4(*arguments):
            steps.append(0)
            if len(steps) == 4:
                raise KeyboardInterrupt
            return real(*arguments)

        patch.setattr(loop, "_step", dies_in_step_4)
        assert cli.main(first) == 130
    assert cli.main(first) == 0
    assert "goes on after step 2" in capsys.readouterr().out
    for name in ("adapter", "state"):
        one, other = states(whole, name), states(tmp_path, name)
        assert one.keys() == other.keys()
        assert [key for key in one if not torch.equal(one[key], other[key])] == []


def test_two_processes_equal_one_with_the_double_batch(base_model, data, tmp_path):
    steps = ["--steps", "3"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "bokehdepth_core"),
                *command(base_model, data, tmp_path / "two", *steps),
            ],
            cwd=ROOT,
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]
    one = command(base_model, data, tmp_path / "one", *steps, "--batch", "4")
    assert cli.main(one) == 0
    for process in running:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    one, two = (states(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys()
    # AdamW divides by the gradient's own size, so rounding shows where a gradient is tiny: three
    # steps of 1e-4 move weights by up to 3e-4.
    for key in one:
        torch.testing.assert_close(one[key], two[key], atol=3e-5, rtol=0)


def test_the_saved_adapter_gives_what_was_trained_and_the_base_stays(base_model, data, tmp_path):
    """Trained fast, so that its updates show; what it says is asked of the files alone."""
    from bokehdepth_core.training.generator.network import TrainedFlux, adapter_on
    from bokehdepth_core.training.generator.weights import from_adapter

    more = ["--steps", "6", "--learning-rate", "0.01", "--ema", "0", "--checkpointing"]
    assert cli.main(command(base_model, data, tmp_path, *more)) == 0
    generator = load_bokeh_generator(tmp_path / "adapter.safetensors", base_model)
    transformer = generator.pipeline.transformer
    photo = torch.rand(SIDE, SIDE, 3, generator=torch.Generator().manual_seed(5))
    options = {"steps": 2, "guidance": 1.0, "match_color": False}
    strengths = [10.0, 20.0]
    frames = generator.generate(photo, strengths, **options).frames
    # The same through the hooks of training: the generator's own adapter adds nothing.
    network = TrainedFlux(from_adapter(load_adapter(tmp_path / "adapter.safetensors")), transformer)
    silent = {"lora_scale": 0.0, "bokeh_scale": 0.0}
    plain = generator.generate(photo, strengths, **options, **silent).frames
    for index, strength in enumerate(strengths):
        with adapter_on(network), torch.no_grad():
            network.vectors = network.weights.vectors(torch.tensor([strength]))
            found = generator.generate(photo, [strength], **options, **silent).frames[0]
        torch.testing.assert_close(found, frames[index], atol=5e-5, rtol=0)
    assert float((plain - frames).abs().max()) > 1e-3
    before = load_transformer(STAGE1).state_dict()
    assert all(torch.equal(value, before[key]) for key, value in transformer.state_dict().items())


def losses(folder):
    lines = (folder / "history.csv").read_text(encoding="utf-8").splitlines()
    at = lines[0].split(",").index("loss")
    return [float(line.split(",")[at]) for line in lines[1:]]


def test_200_steps_lower_the_loss_on_fixed_noise(whole, base_model, data, tmp_path):
    more = ["--steps", "200", "--learning-rate", "0.003", "--validate-every", "100", "--ema", "0.9"]
    assert cli.main(command(base_model, data, tmp_path, *more, "--save-every", "200")) == 0
    found = losses(tmp_path)
    # Measured: 2.55 after five steps at a thirtieth of the rate, 1.1 here.
    assert found[-1] < found[0] < 0.6 * losses(whole)[0]


def test_sampled_stacks_and_their_calibration_go_into_the_history(base_model, data, tmp_path):
    more = ["--steps", "2", "--samples", "1", "--sample-every", "2", "--validate-every", "2"]
    more += ["--group", "2", "--grounded", "--sample-steps", "1"]
    assert cli.main(command(base_model, data, tmp_path, *more)) == 0
    header = (tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "step,loss,r_squared,slope"
    sheet = read_image(tmp_path / "samples" / "step_000002_1.png")
    assert sheet.shape == (2 * SIDE, 4 * SIDE, 3)  # photo and three frames, true above made
    assert (tmp_path / "history.png").is_file()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"ref": "c.png", "stack": [], "k": []}, "data.jsonl:1: ref: no file c.png"),
        ({"ref": "a.png", "stack": ["a10.png"], "k": [10, 20]}, "1 frames in stack and 2 strength"),
        ({"ref": "a.png"}, "data.jsonl:1: neither frames nor depth"),
        ({"ref": "a.png", "stack": ["wide.png"], "k": [10]}, "wide.png is 60x90, its photo 48x56"),
        ({"ref": "a.png", "stack": ["a10.png"], "k": [40]}, "K is 40 at 48 px, outside"),
        ({"ref": "small.png", "stack": ["small.png"], "k": [10]}, "small.png is 20x20 px, smaller"),
        ({"ref": "a.png", "depth": "nan.npy"}, "nan.npy holds NaN in 1 pixel"),
    ],
)
def test_bad_lines_are_named(base_model, data, tmp_path, capsys, line, said):
    for name in ("a.png", "a10.png"):
        (tmp_path / name).write_bytes((data.parent / name).read_bytes())
    write_image(tmp_path / "wide.png", torch.rand(60, 90, 3))
    write_image(tmp_path / "small.png", torch.rand(20, 20, 3))
    depth = np.ones((SIDE, SIDE + 8), np.float32)
    depth[0, 0] = np.nan
    np.save(tmp_path / "nan.npy", depth)
    (tmp_path / "data.jsonl").write_text(json.dumps(line))
    assert cli.main(command(base_model, tmp_path / "data.jsonl", tmp_path / "run")) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "bad", [{"ref": "b.png"}, {"ref": "a.png", "stack": ["a30.png"], "k": [90]}]
)
def test_a_skipped_line_is_not_sampled_either(base_model, data, tmp_path, capsys, bad):
    for file in data.parent.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = tmp_path / "data.jsonl"
    manifest.write_text("\n".join([json.dumps(bad), data.read_text(encoding="utf-8")]))
    more = ("--on-bad", "skip", "--steps", "1", "--samples", "1", "--sample-every", "1")
    more += ("--validate-every", "1")
    run = command(base_model, manifest, tmp_path / "run", *more, "--sample-steps", "1")
    assert cli.main(run) == 0
    assert "skipped data.jsonl:1: " in capsys.readouterr().err
    assert (tmp_path / "run" / "samples" / "step_000001_1.png").is_file()


def test_a_stack_of_a_larger_photo_has_its_strengths_scaled(base_model, tmp_path):
    """K is px·m: a picture at half its size has half of the blur."""
    photo = torch.rand(2 * SIDE, 2 * SIDE, 3)
    for name in ("p.png", "f.png"):
        write_image(tmp_path / name, photo)
    line = {"ref": "p.png", "stack": ["f.png"], "k": [40]}
    (tmp_path / "data.jsonl").write_text(json.dumps(line))
    run = command(base_model, tmp_path / "data.jsonl", tmp_path / "run", "--steps", "1")
    assert cli.main(run) == 0
    assert read_metadata(tmp_path / "run" / "adapter.safetensors")["strength_max"] == "20"


def test_another_setting_or_other_pairs_are_refused(whole, base_model, data, capsys):
    assert cli.main(command(base_model, data, whole, "--steps", "6", "--clip", "2")) == 2
    assert "clip: the run in" in capsys.readouterr().err
    assert cli.main(command(base_model, data, whole, "--steps", "6", "--looks", "1")) == 2
    assert "data: the run in" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_a_kill_leaves_the_last_checkpoint_whole(
    whole, base_model, data, tmp_path, monkeypatch, capsys, error
):
    from safetensors import torch as safetensors_torch

    shutil.copytree(whole, tmp_path / "run")
    real = safetensors_torch.save_file

    def fails(tensors, path, metadata):
        if any(key.startswith("adapter_modules") for key in tensors):
            Path(path).write_bytes(b"half a file")
            raise error
        real(tensors, path, metadata)

    monkeypatch.setattr(safetensors_torch, "save_file", fails)
    code = cli.main(
        command(base_model, data, tmp_path / "run", "--steps", "6", "--save-every", "2")
    )
    assert code == (2 if isinstance(error, OSError) else 130)
    if isinstance(error, OSError):
        assert "adapter.safetensors: cannot be written" in capsys.readouterr().err
    for name in ("adapter.safetensors", "state.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()
    assert not [one for one in (tmp_path / "run").iterdir() if "part" in one.name]


def test_an_adapter_is_gone_on_from_and_one_of_another_size_refused(
    whole, base_model, data, tmp_path, capsys
):
    start = ["--adapter", whole / "adapter.safetensors", "--steps", "1", "--learning-rate", "1e-9"]
    assert cli.main(command(base_model, data, tmp_path / "more", *start)) == 0
    # One step of 1e-9 moves no weight by more than that.
    torch.testing.assert_close(states(tmp_path / "more"), states(whole), atol=2e-9, rtol=0)
    state = states(whole)
    fewer = {key: value for key, value in state.items() if "modules.4" not in key}
    save_file(fewer, tmp_path / "other.safetensors", {"alpha": "4"})
    other = ["--adapter", tmp_path / "other.safetensors"]
    assert cli.main(command(base_model, data, tmp_path / "bad", *other)) == 2
    assert "4 attention layers" in capsys.readouterr().err


def test_a_trained_adapter_is_evaluated_beside_rendered_frames(
    whole, base_model, data, tmp_path, capsys
):
    for name in ("photos", "depths"):
        (tmp_path / name).mkdir()
    (tmp_path / "photos" / "b.png").write_bytes((data.parent / "b.png").read_bytes())
    (tmp_path / "depths" / "b.npz").write_bytes((data.parent / "b.npz").read_bytes())
    run = ["evaluate", "generator", tmp_path / "photos", "--depth", tmp_path / "depths"]
    run += ["--adapter", whole / "adapter.safetensors", "--base-model", base_model, "--steps", "1"]
    assert cli.main([str(one) for one in (*run, "--csv", tmp_path / "o.csv")]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["adapter,", "1", "steps", "rendered"]
    rows = (tmp_path / "o.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ['"adapter', "rendered"]


@pytest.mark.parametrize("ends", ["well", "cancelled", "in an error"])
def test_the_base_is_bit_for_bit_the_same_however_a_run_ends(data, tmp_path, monkeypatch, ends):
    from bokehdepth_core.generator.flux import pipeline as loading
    from bokehdepth_core.training.generator import training

    pipeline = make_pipeline(load_transformer(STAGE1), tiny_text_encoders())
    monkeypatch.setattr(loading, "load_pipeline", lambda *_: pipeline)
    before = {key: value.clone() for key, value in pipeline.transformer.state_dict().items()}
    if ends != "well":
        error = KeyboardInterrupt() if ends == "cancelled" else ValueError("injected")

        def fails(found, batch):
            raise error

        monkeypatch.setattr(training, "flow_loss", fails)
    more = ["--steps", "2", "--samples", "1", "--sample-every", "2", "--validate-every", "2"]
    more += ["--sample-steps", "1", "--grounded", "--group", "2", "--checkpointing"]
    code = cli.main(command("a/b", data, tmp_path, *more))
    assert code == {"well": 0, "cancelled": 130, "in an error": 2}[ends]
    after = pipeline.transformer.state_dict()
    assert [key for key, value in before.items() if not torch.equal(value, after[key])] == []
    modules = pipeline.transformer.modules()
    assert not [one for one in modules if one._forward_hooks or one._forward_pre_hooks]
    assert not pipeline.transformer.is_gradient_checkpointing


def test_bf16_trains_samples_and_keeps_the_adapter_in_float32(base_model, data, tmp_path):
    more = ["--steps", "2", "--precision", "bf16", "--samples", "1", "--sample-every", "2"]
    more += ["--validate-every", "2", "--sample-steps", "1", "--learning-rate", "1e-2"]
    assert cli.main(command(base_model, data, tmp_path, *more)) == 0
    found = states(tmp_path)
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert all(bool(value.any()) for key, value in found.items() if key.endswith("up.weight"))
