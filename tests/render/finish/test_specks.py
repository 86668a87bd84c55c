"""Pixels that stand alone beside depth edges, and did not in the photo."""

import torch
import torch.nn.functional as F

from bokehdepth_core import render_bokeh


def standing_out(picture):
    """Return by how much each pixel [H,W] of [H,W,3] is off the median of its 3 x 3 px."""
    planes = F.pad(picture.movedim(-1, 0)[:, None], (1, 1, 1, 1), mode="replicate")
    around = F.unfold(planes, 3).view(3, 9, *picture.shape[:2])
    return (picture.movedim(-1, 0) - around.median(1).values).abs().amax(0)


def white_thing_before_speckles(beside):
    """Return a photo and depth whose edge lies some px beside that of the photo, far side in."""
    random = torch.Generator().manual_seed(3)
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    away = torch.hypot(rows - 60, columns - 48)
    speckles = torch.rand(96, 96, 1, generator=random) * torch.tensor([0.9, 0.6, 0.3])
    photo = torch.where((away < 30)[..., None], torch.tensor(0.85), speckles)
    return photo[None], torch.where(away < 30 - beside, 1.0, 5.0)[None]


def test_a_depth_edge_beside_the_photos_gives_no_dotted_rim():
    for beside in (-2, 1, 2):
        photo, depth = white_thing_before_speckles(beside)
        found = render_bokeh(photo, depth, 12.0, 1.0, refine_depth=False)[0]
        alone = standing_out(found) > 30 / 255
        assert not (alone & (standing_out(photo[0]) <= 30 / 255)).any()


def test_what_stands_alone_in_the_photo_stays():
    photo, depth = white_thing_before_speckles(0)
    photo[0, 60, 77] = 0.0  # in focus, one px from the edge
    found = render_bokeh(photo, depth, 12.0, 1.0)[0]
    assert float(found[60, 77].max()) < 0.1


def test_noise_in_focus_beside_a_blurred_surface_stays():
    noise = torch.rand(96, 96, 3, generator=torch.Generator().manual_seed(4))
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    away = torch.hypot(rows - 48, columns - 48)
    depth, wall = torch.where(away < 30, 1.0, 5.0), 0.2 * torch.ones(3)
    photo = torch.where((away < 30)[..., None], noise, wall)
    found = render_bokeh(photo[None], depth[None], 12.0, 1.0)[0]
    inside = away < 28  # from 2 px within the edge no pixel is mixed
    assert float((found - photo).abs().amax(-1)[inside].max()) <= 1 / 255
