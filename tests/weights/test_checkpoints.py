import os
from pathlib import Path, PurePosixPath

import golden
import numpy as np
import pytest
import torch

from bokehdepth_core import load_depth_estimator
from bokehdepth_core.depth.loading import network_from
from bokehdepth_core.weights.errors import CheckpointError
from bokehdepth_core.weights.reading import read_state_dict

CHECKPOINTS = golden.FOLDER / "checkpoints"


@pytest.fixture(scope="module")
def layouts():
    return golden.fixture("checkpoint_layouts")


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        load_depth_estimator(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("file", "output"),
    [
        ("udv2_tiny_training.pth", "udv2_tiny.depth_ema"),
        ("dav2_tiny_plain.pth", "dav2_tiny.depth_from_float16"),
    ],
)
def test_published_layouts_give_the_reference_depth(layouts, file, output):
    _, data = layouts
    network = load_depth_estimator(CHECKPOINTS / file).network
    frames = torch.cat([data["image"][:, None], data["stack"]], dim=1)
    with torch.inference_mode():
        found = network(frames, golden.with_reference(data["k"]))
    depth = found.points[:, 2:] if "udv2" in file else found
    assert golden.rel_max(depth, data[output]) <= 1e-4


@pytest.mark.parametrize("name", ["DAV2", "UDv2"])
def test_full_size_key_lists_load_strictly(name):
    keys = golden.manifest(f"keys_{name}_dsfa_release")["keys"]
    keys = keys.items() if isinstance(keys, dict) else keys
    state = {key: torch.empty(shape, device="meta") for key, shape in keys}
    network = network_from(state, name, "meta", torch.float32)
    assert network.shape.encoder.depth == 24
    assert network.shape.fused == ((2, 3) if name == "DAV2" else (0, 1, 2, 3))
    short = dict(list(state.items())[:-1])
    with pytest.raises(CheckpointError, match=rf"^{name}: 1 missing keys: '"):
        network_from(short, name, "meta", torch.float32)


@pytest.mark.parametrize(
    "wrap", ["bare", "model", "state_dict", "ddp", "ema", "shadow", "nested", "list"]
)
def test_every_wrapper_is_opened(tmp_path, wrap):
    plain = {"a.weight": torch.ones(2), "b.bias": torch.zeros(3)}
    other = {key: value + 5 for key, value in plain.items()}
    ddp = {f"module.{key}": value for key, value in plain.items()}
    found = {
        "bare": plain,
        "model": {"model": plain, "epoch": 3},
        "state_dict": {"state_dict": plain},
        "ddp": {"model": ddp},
        "ema": {"model": other, "ema": ddp},
        "shadow": {"model": other, "ema_state_dict": {"shadow_params": plain}},
        "nested": {"model": other, "ema": {"model": plain, "decay": 0.99}},
        "list": {"model": other, "ema": {"shadow_params": list(plain.values())}},
    }[wrap]
    torch.save(found, tmp_path / "file.pth")
    state = read_state_dict(tmp_path / "file.pth")
    assert state.keys() == plain.keys()
    assert all(torch.equal(state[key], plain[key]) for key in plain)


def test_numbers_and_paths_of_training_files_are_read(tmp_path):
    extra = {"loss": np.float64(0.5), "step": np.int64(7), "log": Path("a") / "b"}
    torch.save({"model": {"a": torch.ones(2)}, **extra}, tmp_path / "file.pth")
    assert list(read_state_dict(tmp_path / "file.pth")) == ["a"]


class Harmful:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_code_in_a_file_is_never_run(tmp_path):
    marker = tmp_path / "ran"
    torch.save({"model": {}, "x": Harmful(marker)}, tmp_path / "bad.pth")
    assert refused(tmp_path / "bad.pth") == (
        f"bad.pth: refused, it holds Python objects ({os.mkdir.__module__}.mkdir) that could run "
        "code. Use a .safetensors file."
    )
    assert not marker.exists()


def test_a_few_bytes_cannot_pose_as_gigabytes(tmp_path):
    torch.save({"a": torch.zeros(1).expand(1 << 40)}, tmp_path / "huge.pth")
    assert refused(tmp_path / "huge.pth") == "huge.pth: 'a' is not a plain tensor."


@pytest.mark.parametrize("keep", [0, 100, 50_000])
def test_truncated_files_are_named(tmp_path, keep):
    whole = (CHECKPOINTS / "dav2_tiny_plain.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[:keep])
    assert refused(tmp_path / "cut.pth").startswith("cut.pth: ")


def test_other_and_mixed_files_are_named(tmp_path):
    torch.save({"encoder.stem.weight": torch.ones(1)}, tmp_path / "other.pth")
    assert refused(tmp_path / "other.pth") == (
        "other.pth: no known depth checkpoint; 1 keys, first 'encoder.stem.weight'. "
        "See: bokehdepth weights list."
    )
    state = read_state_dict(CHECKPOINTS / "dav2_tiny_plain.pth")
    torch.save({**state, "to_q.weight": torch.ones(1)}, tmp_path / "mixed.pth")
    assert refused(tmp_path / "mixed.pth") == "mixed.pth: 1 unexpected keys: 'to_q.weight'."
    wrong = {**state, "pretrained.norm.bias": torch.ones(3)}
    torch.save(wrong, tmp_path / "shape.pth")
    assert refused(tmp_path / "shape.pth") == (
        "shape.pth: 'backbone.layernorm.bias' expected [16], found [3]."
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a\nb": torch.ones(1)}, r"^file\.pth: 'a\\nb' is no name of a tensor\.$"),
        ({"a" * 9999: torch.ones(1)}, r"^file\.pth: 'a{99}…' is no name of a tensor\.$"),
        ({f"k{i}": torch.ones(0) for i in range(20_001)}, r"^file\.pth: 20001 tensors; no network"),
        ({"a": torch.empty(1 << 40, device="meta")}, r"^file\.pth: 'a' is not a plain tensor"),
    ],
)
def test_names_and_tensors_of_no_network_are_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "file.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        read_state_dict(path)


def test_a_small_file_cannot_pose_as_many_large_tensors(tmp_path):
    one = torch.zeros(1000)
    torch.save({f"weight{index}": one for index in range(100)}, tmp_path / "shared.pth")
    with pytest.raises(CheckpointError, match=r"^shared\.pth: refused, 100 tensors of .* share"):
        read_state_dict(tmp_path / "shared.pth")
    torch.save({"embed": one, "head": one}, tmp_path / "tied.pth")
    assert len(read_state_dict(tmp_path / "tied.pth")) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows locks a mapped file")
def test_weights_stay_on_disk_until_they_are_used(tmp_path):
    path, ones, twos = tmp_path / "file.pth", torch.ones(1000), torch.full((1000,), 2.0)
    torch.save({"a": ones}, path)
    state = read_state_dict(path)
    place = path.read_bytes().index(ones.numpy().tobytes())
    with path.open("r+b") as file:
        file.seek(place)
        file.write(twos.numpy().tobytes())
    assert torch.equal(state["a"], twos)  # read now, not before


def test_text_and_pure_paths_beside_the_weights_are_harmless(tmp_path):
    beside = {"run": np.str_("one"), "home": PurePosixPath("a/b"), "loss": np.longdouble(1)}
    torch.save({"model": {"a": torch.ones(2)}, **beside}, tmp_path / "file.pth")
    assert list(read_state_dict(tmp_path / "file.pth")) == ["a"]


def test_averages_that_are_no_averages_are_passed_over(tmp_path):
    torch.save({"model": {"a": torch.ones(2)}, "ema": torch.zeros(3)}, tmp_path / "file.pth")
    assert torch.equal(read_state_dict(tmp_path / "file.pth")["a"], torch.ones(2))
