import golden
import pytest
import torch

from bokehdepth_core import cli, load_depth_estimator
from bokehdepth_core.checkpoints import read_metadata

TINY = golden.FOLDER / "checkpoints" / "dav2_tiny_plain.pth"


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
