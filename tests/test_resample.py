"""Depth of another size than the picture."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bokehdepth_core import DepthMap, render_bokeh
from bokehdepth_core.demo.run import ASSETS
from bokehdepth_core.files.pictures.images import read_image
from bokehdepth_core.resample import fit_depth


def test_resampling_keeps_a_depth_edge_and_a_plane():
    step = torch.ones(1, 8, 8)
    step[..., 4:] = 5.0
    grown = fit_depth(DepthMap(step), (24, 24)).depth
    wanted = step.repeat_interleave(3, 1).repeat_interleave(3, 2)
    torch.testing.assert_close(grown, wanted)  # nothing half-way at the edge
    ramp = torch.linspace(0.50, 0.52, 9).expand(1, 9, 9)
    grown = fit_depth(DepthMap(1 / ramp), (27, 27)).disparity[0, 13, 3:-3]
    torch.testing.assert_close(grown.diff(), torch.full((20,), 0.0025 / 3), atol=1e-6, rtol=0)


def test_resampling_scales_the_camera_with_the_picture():
    camera = torch.tensor([[[10.0, 0, 4], [0, 10, 4], [0, 0, 1]]])
    found = fit_depth(DepthMap(torch.ones(1, 8, 8), None, camera), (16, 24))
    wanted = torch.tensor([[[30.0, 0, 12], [0, 20, 8], [0, 0, 1]]])
    torch.testing.assert_close(found.intrinsics, wanted)


def test_a_map_of_the_right_size_is_left_alone():
    depth = DepthMap(torch.rand(1, 5, 6) + 1)
    assert fit_depth(depth, (5, 6), soft_edges=True) is depth


def test_small_depth_renders_better_by_soft_edges_that_are_refined():
    part = (slice(128, 384), slice(128, 384))
    photo = read_image(ASSETS / "photo.png")[part][None]
    depth = torch.from_numpy(np.load(ASSETS / "depth.npz")["depth"])[part][None]
    small = F.interpolate(1 / depth[None], scale_factor=1 / 4, mode="area")[0]
    wanted = render_bokeh(photo, depth, 15.0, 1.5)

    def decibel(soft):
        fitted = fit_depth(DepthMap(1 / small), (256, 256), soft_edges=soft).depth
        found = render_bokeh(photo, fitted, 15.0, 1.5)
        return -10 * math.log10((found - wanted).square().mean())

    assert decibel(True) > decibel(False) + 3


@pytest.mark.parametrize(("step", "sharp"), [(0.045, False), (0.055, True)])
def test_neighbours_that_differ_by_a_twentieth_of_their_disparity_are_an_edge(step, sharp):
    disparity = torch.ones(1, 8, 8)
    disparity[..., 4:] = 1 - step
    grown = fit_depth(DepthMap(1 / disparity), (24, 24)).disparity
    half_way = (grown > 1 - step + 1e-4) & (grown < 1 - 1e-4)
    assert bool(half_way.any()) is not sharp
