"""A smooth sky has no blur of its own: it, and nothing else, is taken for the farthest there is."""

import pytest
import torch
from torch.nn import functional

from bokehdepth_core import BokehStack, disparity_offset, sweep_depth
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.depth.sweep.labelling.confidence import SKY
from bokehdepth_core.depth.sweep.messages import collected
from bokehdepth_core.optics.aperture import DISC
from bokehdepth_core.optics.psf import LensBlur

SIZE, STRENGTHS, NEAR = (120, 160), (8.0, 16.0), 0.4
FOCUS, HORIZON = 2.0, 70  # m; row below which the ground is
BLUE, ORANGE, CLIPPED = (0.45, 0.62, 0.85), (0.9, 0.62, 0.45), (1.0, 1.0, 1.0)
STRIPES = (20, 24, 70, 74, 120, 124)  # columns of branches


def scene(sky: torch.Tensor, *, blur: float = NEAR) -> BokehStack:
    """Return a stack of branches and ground, one plane, before a sky, [3,H,W] sRGB.

    Each frame is blurred by its strength times `blur`, 1/m.
    """
    random = torch.Generator().manual_seed(3)
    grain = torch.rand(1, 3, *SIZE, generator=random)
    ground = 0.2 + 0.5 * functional.avg_pool2d(grain, 3, 1, 1)[0]
    cover = torch.zeros(1, *SIZE)
    for left, right in zip(STRIPES[::2], STRIPES[1::2], strict=True):
        cover[:, :, left:right] = 1
    cover[:, HORIZON:] = 1
    branch = torch.full((3, *SIZE), 0.15) + 0.1 * grain[0]
    branch[:, HORIZON:] = ground[:, HORIZON:]
    light = srgb_to_linear(torch.where(cover > 0, branch, sky))
    lens = LensBlur(SIZE, 12, DISC, light.device)
    frames = [linear_to_srgb(lens.blur(lens.transform(light), k * blur)) for k in STRENGTHS]
    pictures = [one.clamp(0, 1).permute(1, 2, 0) for one in (linear_to_srgb(light), *frames)]
    return BokehStack(pictures[0], torch.stack(pictures[1:]), STRENGTHS)


def smooth(color: tuple[float, ...]) -> torch.Tensor:
    shade = torch.linspace(0.97, 1, SIZE[0])[:, None]
    return torch.tensor(color)[:, None, None] * shade.expand(SIZE)


def sky_of(found: torch.Tensor) -> torch.Tensor:
    """Return the pixels of a map [H,W] between the branches, 3 px and more from them."""
    return torch.cat([found[: HORIZON - 4, first:last].flatten() for first, last in GAPS])


GAPS = ((0, 17), (27, 67), (77, 117), (127, 160))


@pytest.mark.parametrize("color", [BLUE, CLIPPED])
def test_smooth_sky_is_infinitely_far_and_its_branches_are_not(color):
    depth = sweep_depth(scene(smooth(color)), focus_depth=FOCUS, align=False)
    assert sky_of(depth.depth[0]).isinf().float().mean() > 0.98
    assert (sky_of(depth.confidence[0]) == SKY).float().mean() > 0.98
    branches = depth.disparity[0, : HORIZON - 4, STRIPES[2] : STRIPES[3]]
    assert ((branches - (1 / FOCUS - NEAR)).abs() < 0.1 * NEAR).float().mean() > 0.9
    assert depth.depth[0, HORIZON + 4 :].isfinite().all()


def test_the_guess_is_told():
    with collected() as said:
        sweep_depth(scene(smooth(BLUE)), focus_depth=FOCUS, align=False)
    (told,) = [one.getMessage() for one in said if one.getMessage().startswith("sky")]
    # 70 of 120 rows, 148 of 160 columns.
    assert told.startswith("sky: 54 % of the picture")
    assert "That is a guess" in told


def test_a_smooth_orange_wall_is_no_sky():
    with collected() as said:
        depth = sweep_depth(scene(smooth(ORANGE)), focus_depth=FOCUS, align=False)
    assert depth.depth.isfinite().all()
    assert not any("sky" in one.getMessage() for one in said)


def test_a_blue_surface_with_texture_is_measured():
    random = torch.Generator().manual_seed(4)
    coarse = torch.rand(1, 1, SIZE[0] // 3, SIZE[1] // 3, generator=random)
    grain = functional.interpolate(coarse, SIZE, mode="bilinear")[0]
    depth = sweep_depth(scene(smooth(BLUE) - 0.04 * grain), focus_depth=FOCUS, align=False)
    right = (depth.disparity[0] - (1 / FOCUS - NEAR)).abs() < 0.1 * NEAR
    assert sky_of(right.float()).mean() > 0.9


def test_a_stack_that_is_not_blurred_has_no_sky():
    with collected() as said:
        depth = sweep_depth(scene(smooth(BLUE), blur=0.0), focus_depth=FOCUS, align=False)
    assert not any(one.getMessage().startswith("sky") for one in said)
    assert depth.depth.isfinite().all()
    assert not depth.confidence.any()


def test_without_a_distance_sky_is_as_far_as_what_is_farthest():
    offset, _ = disparity_offset(scene(smooth(BLUE)), align=False)
    assert ((sky_of(offset) - NEAR).abs() < 0.1 * NEAR).float().mean() > 0.98


def test_sky_behind_a_scene_in_front_of_the_focus_plane_is_in_focus():
    offset, _ = disparity_offset(scene(smooth(BLUE)), behind=False, align=False)
    assert (sky_of(offset) == 0).float().mean() > 0.98


def test_noise_is_no_texture_of_the_sky():
    stack = scene(smooth(BLUE))
    random = torch.Generator().manual_seed(5)

    def noisy(image: torch.Tensor) -> torch.Tensor:
        return (image + 5 / 255 * torch.randn(image.shape, generator=random)).clamp(0, 1)

    seen = BokehStack(noisy(stack.reference), noisy(stack.frames), STRENGTHS)
    depth = sweep_depth(seen, focus_depth=FOCUS, align=False)
    assert sky_of(depth.depth[0]).isinf().float().mean() > 0.9
