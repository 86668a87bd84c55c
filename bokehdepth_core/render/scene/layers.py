"""The scene as layers: what the photo shows, and the background that it occludes.

A photo holds one surface at each pixel, and a mixture of two at depth edges. A lens sees more: a
blurred foreground lets background through. So the mixed pixels are parted into foreground and
background (`matting.py`), and the occluded background is inpainted (`inpaint.py`). The result is a
set of layers, each with light, defocus and alpha at every pixel.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from ..panorama import own_columns
from .discontinuities import EDGE_STEP, find_depth_edges
from .inpaint import (
    BackgroundSample,
    find_nearest_background,
    sample_background,
    search_radius,
    smooth_inpainting,
)
from .matting import FarSideMatte, matte_far_side, matte_near_side


@dataclass(frozen=True, eq=False)
class Layer:
    """One surface at every pixel.

    Attributes:
        light: [3,H,W], linear light, not multiplied by alpha; [4,H,W] in a cut-out: multiplied with
            its own coverage, which is the last.
        defocus: [H,W], px, front positive.
        alpha: [H,W], 0…1, the part of the pixel that it covers; 0 where it is not.
    """

    light: Tensor
    defocus: Tensor
    alpha: Tensor


@dataclass(frozen=True, eq=False)
class Layers:
    """All that a lens may see of a scene. A picture without depth edges has `visible` alone.

    Attributes:
        visible: the surface that the photo shows. At the edges of near things it is their part of
            the mixed pixels, with alpha below 1.
        occluded: the background next behind it, inpainted or given; alpha 0 where none is known.
        deeper: the background behind the occluded one in turn, as the wall behind a fence that is
            behind a leaf.
        spill: the part of near things in the edge pixels that the depth map gives to the far side.
    """

    visible: Layer
    occluded: Layer | None = None
    deeper: Layer | None = None
    spill: Layer | None = None

    def present(self) -> list[Layer]:
        """Return the layers that there are."""
        layers = (self.visible, self.occluded, self.deeper, self.spill)
        return [layer for layer in layers if layer is not None]

    def within(self, mask: Tensor) -> "Layers":
        """Return the layers with alpha times a mask [H,W]: nothing is where that is 0."""

        def masked(layer: Layer | None) -> Layer | None:
            return None if layer is None else replace(layer, alpha=layer.alpha * mask)

        visible = replace(self.visible, alpha=self.visible.alpha * mask)
        return Layers(visible, *map(masked, (self.occluded, self.deeper, self.spill)))

    def own_columns(self, around: int) -> "Layers":
        """Return the layers of a whole turn without the columns of the other end at its sides."""

        def turned(layer: Layer | None) -> Layer | None:
            if layer is None or not around:
                return layer
            planes = (layer.light, layer.defocus, layer.alpha)
            return Layer(*(own_columns(one, around).contiguous() for one in planes))

        visible = turned(self.visible) or self.visible
        return Layers(visible, *map(turned, (self.occluded, self.deeper, self.spill)))


def separate_layers(
    light: Tensor,
    defocus: Tensor,
    psf_radius: float,
    background: tuple[Tensor, Tensor] | None = None,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Layers:
    """Return the layers of a picture, with as much of the occluded background as may show.

    Args:
        light: [3,H,W], linear light.
        defocus: [H,W], px, front positive.
        psf_radius: px, of the largest blur: how far inside a near thing background may show.
        background: light [3,H,W] and defocus [H,W] of the occluded background where it is known;
            used wherever that lies behind the picture's own.
        check_cancelled: raises to stop.
    """
    edges = find_depth_edges(defocus)
    if background is None and not edges.far_side.any():
        return Layers(Layer(light, defocus, torch.ones_like(defocus)))
    check_cancelled()
    far = matte_far_side(light, defocus, edges)
    nearest = find_nearest_background(
        defocus, edges.far_side, search_radius(psf_radius), check_cancelled
    )
    check_cancelled()
    sample = sample_background(light, far.background, defocus, nearest)
    known = torch.zeros_like(edges.far_side)
    if background is not None:
        known = background[1] < defocus - EDGE_STEP
        sample = _with_known(sample, background, known)
    check_cancelled()
    own_light, alpha = matte_near_side(light, far.background, defocus, nearest, sample.light)
    inpainted = smooth_inpainting(sample.light, sample.defocus, nearest.distance, check_cancelled)
    inpainted = torch.where(known, sample.light, inpainted)
    # A background blurrier than what hides it is left out: there the mean of what is in view is the
    # better guess, and compositing gives just that where no layer is known.
    sharper = torch.isfinite(nearest.distance) & (sample.defocus.abs() < defocus.abs())
    occluded_alpha = torch.where(known | sharper, 1.0, 1 - alpha)
    return Layers(
        Layer(own_light, defocus, alpha),
        Layer(inpainted, sample.defocus, occluded_alpha),
        _deeper_layer(inpainted, sample, sharper, known),
        _spill_layer(far),
    )


def _with_known(
    sample: BackgroundSample, background: tuple[Tensor, Tensor], known: Tensor
) -> BackgroundSample:
    light = torch.where(known, background[0], sample.light)
    return BackgroundSample(light, torch.where(known, background[1], sample.defocus), sample.origin)


def _deeper_layer(
    inpainted: Tensor, sample: BackgroundSample, sharper: Tensor, known: Tensor
) -> Layer:
    """Return what the occluded background occludes: its own nearest background in view."""
    row, column = sample.origin
    defocus = sample.defocus[row, column]
    there = sharper & sharper[row, column] & (defocus < sample.defocus - EDGE_STEP) & ~known
    return Layer(inpainted[:, row, column], defocus, there.to(inpainted))


def _spill_layer(far: FarSideMatte) -> Layer:
    return Layer(far.foreground, far.foreground_defocus, far.alpha)
