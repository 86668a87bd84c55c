from pathlib import Path

import golden
import pytest
import torch
from links import link_folder
from safetensors import SafetensorError
from safetensors.torch import save_file

from bokehdepth_core import cli, load_depth_estimator
from bokehdepth_core.depth import conversion
from bokehdepth_core.depth.conversion import convert_checkpoint
from bokehdepth_core.generator.adapter import load_adapter
from bokehdepth_core.weights import published as weights
from bokehdepth_core.weights.errors import CheckpointError
from bokehdepth_core.weights.published import ADAPTER, DEPTH, PUBLISHED, find_weights
from bokehdepth_core.weights.reading import read_metadata, read_state_dict

TINY = golden.FOLDER / "checkpoints" / "dav2_tiny_plain.pth"
UNIDEPTH = golden.FOLDER / "checkpoints" / "udv2_tiny_training.pth"


def test_converted_weights_give_the_same_depth(tmp_path, capsys):
    output = tmp_path / "tiny.safetensors"
    assert cli.main(["weights", "convert", str(TINY), str(output)]) == 0
    assert capsys.readouterr().out == f"{output}: DepthAnything\n"
    assert read_metadata(output) == {
        "format": "pt",
        "network": "DepthAnything",
        "source": "dav2_tiny_plain.pth",
        "max_depth_m": "80",
    }
    image = torch.rand(1, 30, 41, 3, generator=torch.Generator().manual_seed(0))
    before, after = (load_depth_estimator(path).estimate(image) for path in (TINY, output))
    assert torch.equal(before.depth, after.depth)
    assert cli.main(["weights", "convert", str(TINY), str(output)]) == 2


def test_unknown_downloads_name_the_known_files(capsys):
    assert cli.main(["weights", "download", "other.pth"]) == 2
    assert "name: unknown file 'other.pth'. One of: bokeh_lora.bin," in capsys.readouterr().err


@pytest.mark.parametrize("size", [(30, 41), (41, 30)])
def test_a_given_range_wins_over_the_published_one(size):
    trained = load_depth_estimator(TINY).network
    estimator = load_depth_estimator(TINY, max_depth=20.0)
    depth = estimator.estimate(torch.rand(2, *size, 3))
    assert depth.metric
    assert float(depth.depth.max()) <= 20.0 < float(trained.shape.max_depth)


def test_a_gated_folder_is_named_with_the_way_to_get_it(tmp_path, capsys):
    command = ["weights", "download", "FLUX.1-Kontext-dev", "--folder", str(tmp_path)]
    assert cli.main(command) == 2
    line = capsys.readouterr().err
    assert "name: FLUX.1-Kontext-dev is a gated folder of many files" in line
    assert "licence at https://huggingface.co/black-forest-labs/FLUX.1-Kontext-dev, log in" in line
    assert f'--local-dir "{tmp_path / "FLUX.1-Kontext-dev"}"' in line
    assert list(tmp_path.iterdir()) == []


def test_every_published_name_can_be_got_as_its_message_tells(tmp_path):
    for file in PUBLISHED:
        command = "hf download" if file.is_folder else f"bokehdepth weights download {file.name}"
        with pytest.raises(FileNotFoundError, match=command):
            find_weights(file.name, file.role, tmp_path)


def test_paths_and_hub_names_are_not_looked_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights" / "sub").mkdir(parents=True)
    (tmp_path / "weights" / "own.pth").touch()
    assert find_weights("own.pth", DEPTH, tmp_path / "weights") == tmp_path / "weights" / "own.pth"
    for name in ("owner/name", "sub/own.pth", "./bokeh_lora.bin", "unknown.pth"):
        assert find_weights(name, ADAPTER, tmp_path / "weights") == name
    (tmp_path / "own.pth").touch()
    assert find_weights("own.pth", DEPTH, tmp_path / "weights") == "own.pth"


def test_an_unusable_target_is_refused_before_the_checkpoint_is_read(tmp_path, monkeypatch):
    def reading(path):
        raise AssertionError

    monkeypatch.setattr(conversion, "read_state_dict", reading)
    with pytest.raises(FileNotFoundError, match=r"x\.safetensors: folder .* does not exist"):
        convert_checkpoint(TINY, tmp_path / "nodir" / "x.safetensors")
    for wrong, found in ((-5, "must be above 0, found -5"), (float("nan"), "finite number")):
        with pytest.raises(ValueError, match=f"max_depth: .*{found}"):
            convert_checkpoint(TINY, tmp_path / "x.safetensors", wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_names_the_target(tmp_path, monkeypatch, capsys):
    def full(*args):
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(conversion, "write_safetensors", full)
    assert cli.main(["weights", "convert", str(TINY), str(tmp_path / "x.safetensors")]) == 2
    line = capsys.readouterr().err
    assert "x.safetensors: cannot be written (I/O error: No space left on device)." in line


def test_choices_that_a_network_does_not_have_are_not_written(tmp_path):
    target = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match=r"max_depth: UniDepth finds its range itself"):
        convert_checkpoint(UNIDEPTH, target, 20)
    with pytest.raises(ValueError, match=r"attention_scale: only Depth Anything with DSFA"):
        convert_checkpoint(UNIDEPTH, target, attention_scale="single")
    with pytest.raises(ValueError, match=r"attention_scale: expected trained, single, double"):
        convert_checkpoint(TINY, target, attention_scale="twice")
    assert not target.exists()


def test_an_unknown_attention_scale_in_a_file_is_refused(tmp_path):
    file = tmp_path / "x.safetensors"
    state = {key: value.clone() for key, value in read_state_dict(TINY).items()}
    save_file(state, file, {"attention_scale": "triple"})
    with pytest.raises(CheckpointError, match=r"x\.safetensors: attention_scale: .* 'triple'"):
        load_depth_estimator(file)


def test_published_weights_of_another_role_are_refused_by_name(tmp_path):
    (tmp_path / "bokeh_lora.bin").touch()
    wanted = r"bokeh_lora\.bin: for stage 1 adapter; stage 2 depth is wanted here\. Try: DAV2_dsfa"
    with pytest.raises(ValueError, match=wanted):
        find_weights("bokeh_lora.bin", DEPTH, tmp_path)


def test_the_weights_folder_is_comfyuis_also_where_the_pack_is_a_link(tmp_path, monkeypatch):
    monkeypatch.delenv(weights.FOLDER_VARIABLE, raising=False)
    (tmp_path / "code" / "bokehdepth_core" / "weights").mkdir(parents=True)
    (tmp_path / "custom_nodes").mkdir()
    pack = tmp_path / "custom_nodes" / "BokehDepth"
    link_folder(pack, tmp_path / "code")
    file = "bokehdepth_core/weights/published.py"
    monkeypatch.setattr(weights, "__file__", str(pack / file))
    assert weights.weights_folder() == tmp_path / "models" / "bokehdepth"
    monkeypatch.setattr(weights, "__file__", str(tmp_path / "code" / file))
    assert weights.weights_folder() == Path.home() / ".cache" / "bokehdepth"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("depth_anything_vits14.pth", "Depth Anything of version 1"),
        ("my_metric.pth", "nothing tells its range"),
    ],
)
def test_what_cannot_be_loaded_cannot_be_converted(tmp_path, name, message):
    plain = {k: v for k, v in read_state_dict(TINY).items() if "encoder_fusion" not in k}
    torch.save({key: value.clone() for key, value in plain.items()}, tmp_path / name)
    for refuse in (
        lambda: load_depth_estimator(tmp_path / name),
        lambda: convert_checkpoint(tmp_path / name, tmp_path / "new.safetensors"),
    ):
        with pytest.raises(CheckpointError, match=rf"^{name}: .*{message}"):
            refuse()
    assert not (tmp_path / "new.safetensors").exists()


def test_a_converted_adapter_needs_no_options(tmp_path, capsys):
    source, output = golden.FOLDER / "adapter_tiny.safetensors", tmp_path / "out.safetensors"
    command = ["weights", "convert", str(source), str(output), "--alpha", "2", "--query-only"]
    assert cli.main([*command, "--lora-scale", "0.5"]) == 0
    assert capsys.readouterr().out == f"{output}: BokehAdapter\n"
    adapter = load_adapter(output)
    assert (adapter.scale, adapter.lora_scale, adapter.query_only) == (0.5, 0.5, True)
    assert cli.main(["weights", "convert", str(source), str(tmp_path / "b.safetensors")]) == 0
    assert load_adapter(tmp_path / "b.safetensors").scale == 1.0
    refused = [*command[:2], str(source), str(tmp_path / "c.safetensors"), "--alibi", "0.5"]
    assert cli.main(refused) == 2
    assert "alibi: a bokeh adapter has no such choice. Leave --alibi" in capsys.readouterr().err


def test_a_depth_checkpoint_is_converted_with_its_choices(tmp_path, capsys):
    output = tmp_path / "tiny.safetensors"
    command = ["weights", "convert", str(UNIDEPTH), str(output), "--alibi", "0.25"]
    assert cli.main([*command, "--heads", "4", "--alpha", "2"]) == 2
    assert "alpha: a depth checkpoint has no such choice" in capsys.readouterr().err
    assert cli.main([*command, "--heads", "4"]) == 0
    metadata = read_metadata(output)
    assert (metadata["alibi"], metadata["dsfa_heads"]) == ("0.25", "4")
    block = load_depth_estimator(output).network.fusion["0"]
    assert (block.alibi, block.heads) == (0.25, 4)
