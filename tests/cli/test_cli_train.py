"""`bokehdepth train depth`: a run with a manifest, and what does not fit is named."""

import json

import numpy as np
import pytest
import torch

from bokehdepth_core import cli
from bokehdepth_core.files.pictures.images import write_image

pytest.importorskip("accelerate")
SHORT = "--steps 1 --size 16 --batch 2 --warmup 0 --validation-samples 2 --cpu -o run"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Two photos with stack and depth, one of them with NaN in it."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    lines = []
    for name in ("a", "b"):
        for kind in ("", "1", "2"):
            write_image(f"{name}{kind}.png", torch.rand(20, 24, 3))
        depth = np.linspace(1, 4, 480, dtype=np.float32).reshape(20, 24)
        depth[3, 3] = np.nan if name == "b" else 0
        np.save(f"{name}.npy", depth)
        stack = [f"{name}1.png", f"{name}2.png"]
        lines.append({"ref": f"{name}.png", "depth": f"{name}.npy", "stack": stack, "k": [4, 8]})
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def run(command, capsys):
    code = cli.main(command.split())
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_manifest_is_trained_on_and_its_nan_is_refused_skipped_or_unknown(data, capsys):
    command = f"train depth --manifest m.jsonl --validate m.jsonl {SHORT}"
    code, _, err = run(f"{command} --nan-depth unknown", capsys)
    assert code == 2
    assert "no focus_depth, so the target of the blur is unknown. Add it, or say" in err
    command += " --assume-focus nearest"
    code, _, err = run(command, capsys)
    assert code == 2
    assert "m.jsonl:2: b.npy holds NaN in 1 pixels" in err
    code, out, err = run(f"{command} --on-bad skip", capsys)
    assert code == 0, err
    assert "skipped m.jsonl:2: b.npy holds NaN" in err
    assert "run: depth.safetensors after 1 steps" in out
    code, out, err = run(command.replace("-o run", "-o other") + " --nan-depth unknown", capsys)
    assert (code, err) == (0, "")
    found = {one.name for one in (data / "run").iterdir()}
    assert found == {"depth.safetensors", "state.safetensors", "history.csv", "history.png"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--on-bad skip", "on_bad: --on-bad is for a manifest"),
        ("--stages 2", "stages: --stages is for a depth network's file"),
        ("--size 20", "size: expected a multiple of 8 px"),
        ("--encoder none.pth", "none.pth"),
        ("--encoder-rate 0", "encoder_rate: 0 would freeze an encoder that knows nothing yet"),
        ("--manifest none.jsonl --clean", "clean: --clean is for made scenes"),
        ("--textures none", "textures: none is no folder"),
        ("--max-radius 50", "largest_radius: expected 4 to 30 px, found 50"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, monkeypatch, capsys, options, said):
    monkeypatch.chdir(tmp_path)
    command = SHORT.replace("--size 16", "") if "--size" in options else SHORT
    code, _, err = run(f"train depth {command} {options}", capsys)
    assert code == 2
    assert said in err
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_cannot_be_read_leaves_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.zeros(2)}, "none.pth")
    code, _, err = run(f"train depth {SHORT} --size 28 --encoder none.pth", capsys)
    assert (code, "none.pth: " in err) == (2, True)
    assert [one.name for one in tmp_path.iterdir()] == ["none.pth"]
