"""LAB colour transfer: parity with the published one, and its laws."""

import pytest
import torch
from golden import fixture

from bokehdepth_core.color import color_transfer_lab, lab_to_srgb, srgb_to_lab


@pytest.mark.parametrize("pair", [0, 1, 2])
@pytest.mark.parametrize(
    ("match_spread", "name"), [(True, "matched"), (False, "matched_mean_only")]
)
def test_equals_the_published_transfer(pair, match_spread, name):
    manifest, tensors = fixture("color_transfer_lab")
    source, target = (tensors[f"pair{pair}.{which}"] / 255 for which in ("source", "target"))
    result = color_transfer_lab(target, source, match_spread=match_spread) * 255
    error = (result - tensors[f"pair{pair}.{name}"]).abs()
    accepted = manifest["tolerance"]["own_float_lab"]
    assert error.mean() <= accepted["mean_abs"]
    assert torch.quantile(error, 0.99) <= accepted["p99_abs"]


def test_lab_agrees_with_the_published_one():
    _, tensors = fixture("color_transfer_lab")
    lab = srgb_to_lab(tensors["pair0.target"].double() / 255)
    codes = lab * torch.tensor([2.55, 1, 1]) + torch.tensor([0, 128, 128])
    error = (codes - tensors["pair0.target_lab_u8"]).abs()
    # Rounding to whole codes alone costs 0.25 on average.
    assert error.mean() <= 0.3


def test_lab_of_the_primaries():
    lab = srgb_to_lab(torch.eye(3, dtype=torch.float64))
    tabled = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]]
    torch.testing.assert_close(lab, lab.new_tensor(tabled), rtol=0, atol=0.02)


def test_lab_returns_to_srgb():
    torch.manual_seed(0)
    image = torch.rand(20, 20, 3, dtype=torch.float64)
    torch.testing.assert_close(lab_to_srgb(srgb_to_lab(image)), image, rtol=0, atol=1e-6)


def test_white_grey_and_black_have_no_colour():
    lab = srgb_to_lab(torch.tensor([[1.0] * 3, [0.5] * 3, [0.0] * 3], dtype=torch.float64))
    torch.testing.assert_close(lab[:, 0], lab.new_tensor([100, 53.3890, 0]), rtol=0, atol=1e-3)
    torch.testing.assert_close(lab[:, 1:], torch.zeros_like(lab[:, 1:]), rtol=0, atol=2e-3)


def test_a_picture_with_its_own_colours_stays_as_it_is():
    torch.manual_seed(0)
    image = torch.rand(7, 5, 3)
    torch.testing.assert_close(color_transfer_lab(image, image), image, rtol=0, atol=1e-4)


def test_each_picture_of_a_batch_is_matched_alone():
    torch.manual_seed(0)
    frames, photo = torch.rand(3, 6, 9, 3), torch.rand(4, 4, 3)
    alone = torch.stack([color_transfer_lab(frame, photo) for frame in frames])
    torch.testing.assert_close(color_transfer_lab(frames, photo), alone)


def test_a_grey_picture_gains_no_noise_from_a_colourful_one():
    torch.manual_seed(0)
    grey = torch.rand(16, 16, 1).expand(-1, -1, 3) * 0.2 + 0.4
    lab = srgb_to_lab(color_transfer_lab(grey, torch.rand(16, 16, 3) * 0.2 + 0.4))
    assert lab[..., 1:].std(dim=(0, 1)).max() < 0.1
