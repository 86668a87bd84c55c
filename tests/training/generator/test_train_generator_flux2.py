"""Training an adapter on a tiny random FLUX.2 klein, through the command line."""

import json

import pytest
import torch
from flux2_parts import tiny_pipeline
from needs_flux import skip_without_flux

from bokehdepth_core import cli, load_bokeh_generator, write_image
from bokehdepth_core.generator.adapter import load_adapter

skip_without_flux()
pytest.importorskip("accelerate")
pytest.importorskip("diffusers", minversion="0.37")

SIDE = 48


@pytest.fixture(scope="module")
def base_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "klein"
    tiny_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    photo = torch.rand(SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0))
    write_image(folder / "a.png", photo)
    for strength in (10, 20, 30):
        soft = photo.mean((0, 1)) * strength / 40 + photo * (1 - strength / 40)
        write_image(folder / f"a{strength}.png", soft)
    line = {"ref": "a.png", "stack": [f"a{k}.png" for k in (10, 20, 30)], "k": [10, 20, 30]}
    (folder / "data.jsonl").write_text(json.dumps(line))
    return folder / "data.jsonl"


def command(base_model, data, output, *more):
    start = ["train", "generator", "--base-model", base_model, "--manifest", data, "-o", output]
    start += ["--size", SIDE, "--precision", "fp32", "--rank", 4, "--alpha", 4, "--cpu"]
    start += ["--batch", 2, "--accumulate", 1, "--warmup", 2, "--validation-pairs", 6]
    return [str(one) for one in (*start, *more)]


def test_the_base_has_to_be_said_where_its_size_tells_none(base_model, data, tmp_path, capsys):
    assert cli.main(command(base_model, data, tmp_path)) == 2
    assert "base: say which FLUX.2 this is with --base" in capsys.readouterr().err


def test_200_steps_lower_the_loss_and_the_file_loads_in_the_generator(base_model, data, tmp_path):
    more = ["--base", "FLUX.2-klein-4B", "--steps", 200, "--learning-rate", 0.003, "--ema", 0.9]
    more += ["--validate-every", 100, "--sample-every", 200, "--sample-steps", 1]
    more += ["--group", 2, "--grounded", "--checkpointing", "--save-every", 200]
    assert cli.main(command(base_model, data, tmp_path / "run", *more)) == 0
    few = ["--base", "FLUX.2-klein-4B", "--steps", 1, "--samples", 0]
    assert cli.main(command(base_model, data, tmp_path / "one", *few)) == 0
    losses = {}
    for name in ("run", "one"):
        rows = (tmp_path / name / "history.csv").read_text(encoding="utf-8").splitlines()
        losses[name] = [float(row.split(",")[1]) for row in rows[1:]]
    # Measured: 2.37 after one step, 1.84 and 1.82 here.
    assert losses["run"][1] < losses["run"][0] < 0.85 * losses["one"][0]
    path = tmp_path / "run" / "adapter.safetensors"
    assert load_adapter(path).base.name == "FLUX.2-klein-4B"
    photo = torch.rand(SIDE, SIDE, 3, generator=torch.Generator().manual_seed(5))
    generator = load_bokeh_generator(path, base_model)
    stack = generator.generate(photo, [10.0, 20.0], steps=2, guidance=1.0, match_color=False)
    assert not torch.equal(stack.frames[0], stack.frames[1])
