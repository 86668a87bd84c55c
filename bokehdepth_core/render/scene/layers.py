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
    sample_background,
    smooth_inpainting,
)
from .matting import matte_far_side, matte_near_side
from .nearest import find_nearest_background, search_radius
from .symmetry import Order


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


@dataclass(frozen=True, eq=False)
class Parting:
    """What a picture's layers hold but for their defocus: it depends on depth edges alone.

    Attributes:
        own: [C,H,W], linear light of what is in view, without what other surfaces add at edges.
        alpha: [H,W], 0…1, of that.
        inpainted: [C,H,W], of the occluded background.
        found: [H,W], bool, where one was found.
        behind: [H,W], int32, flat index of the pixel whose surface it is.
        edge: [H,W], int32, flat index of the depth edge behind which it is in view.
        spill: [C,H,W], of near things in the edge pixels of the far side.
        spill_alpha: [H,W], 0…1, of that.
        spill_from: [H,W], int32, flat index of the pixel whose surface it is.
    """

    own: Tensor
    alpha: Tensor
    inpainted: Tensor
    found: Tensor
    behind: Tensor
    edge: Tensor
    spill: Tensor
    spill_alpha: Tensor
    spill_from: Tensor


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
    parting = part_surfaces(light, defocus, psf_radius, background, check_cancelled)
    return layers_of(light, parting, defocus, None if background is None else background[1])


def part_surfaces(
    light: Tensor,
    height: Tensor,
    psf_radius: float,
    background: tuple[Tensor, Tensor] | None = None,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Parting | None:
    """Return what the layers of a picture hold, by its depth edges; None where there are none.

    Args:
        light: [3,H,W], linear light.
        height: [H,W], px, defocus, or what differs from it by the same number everywhere.
        psf_radius: px, of the largest blur.
        background: as `separate_layers` takes it, on the same scale as `height`.
        check_cancelled: raises to stop.
    """
    order = Order(light)
    edges = find_depth_edges(height, order)
    if background is None and not edges.far_side.any():
        return None
    check_cancelled()
    far = matte_far_side(light, height, edges)
    nearest = find_nearest_background(
        height, edges.far_side, order, search_radius(psf_radius), check_cancelled
    )
    del order  # a plane less while the rest is made
    check_cancelled()
    sample = sample_background(light, far.background, height, nearest)
    known = torch.zeros_like(edges.far_side)
    if background is not None:
        known = background[1] < height - EDGE_STEP
        sample = _with_known(sample, background, known)
    check_cancelled()
    own, alpha = matte_near_side(light, far.background, height, nearest, sample.light)
    inpainted = smooth_inpainting(sample.light, sample.defocus, nearest.distance, check_cancelled)
    inpainted = torch.where(known, sample.light, inpainted)
    found = torch.isfinite(nearest.distance)
    spill = (far.foreground, far.alpha, far.foreground_from)
    return Parting(own, alpha, inpainted, found, sample.place, sample.origin, *spill)


def layers_of(
    light: Tensor, parting: Parting | None, defocus: Tensor, known_defocus: Tensor | None = None
) -> Layers:
    """Return the layers of a picture [C,H,W] for a blur radius of every pixel.

    Args:
        light: [C,H,W], linear light.
        parting: what they hold; None for a picture without depth edges.
        defocus: [H,W], px, front positive.
        known_defocus: [H,W], px, of a background that is known; used where it lies behind.
    """
    if parting is None:
        return Layers(Layer(light, defocus, torch.ones_like(defocus)))
    known = torch.zeros_like(parting.found)
    behind = defocus.flatten()[parting.behind]
    if known_defocus is not None:
        known = known_defocus < defocus - EDGE_STEP
        behind = torch.where(known, known_defocus, behind)
    # A background blurrier than what hides it is left out: there the mean of what is in view is the
    # better guess, and compositing gives just that where no layer is known.
    sharper = parting.found & (behind.abs() < defocus.abs())
    occluded_alpha = torch.where(known | sharper, 1.0, 1 - parting.alpha)
    spill_defocus = defocus.flatten()[parting.spill_from]
    return Layers(
        Layer(parting.own, defocus, parting.alpha),
        Layer(parting.inpainted, behind, occluded_alpha),
        _deeper_layer(parting, behind, sharper, known),
        Layer(parting.spill, spill_defocus, parting.spill_alpha),
    )


def _with_known(
    sample: BackgroundSample, background: tuple[Tensor, Tensor], known: Tensor
) -> BackgroundSample:
    light = torch.where(known, background[0], sample.light)
    defocus = torch.where(known, background[1], sample.defocus)
    return BackgroundSample(light, defocus, sample.place, sample.origin)


def _deeper_layer(parting: Parting, behind: Tensor, sharper: Tensor, known: Tensor) -> Layer:
    """Return what the occluded background occludes: its own nearest background in view."""
    there, defocus = sharper.flatten(), behind.flatten()
    pixel = (sharper & ~known).flatten().nonzero()[:, 0]
    edge = parting.edge.flatten()[pixel]
    deeper = there[edge] & (defocus[edge] < defocus[pixel] - EDGE_STEP)
    pixel, edge = pixel[deeper], edge[deeper]
    light = parting.inpainted.new_zeros(parting.inpainted.shape)
    alpha = behind.new_zeros(behind.shape)
    light.flatten(1)[:, pixel] = parting.inpainted.flatten(1)[:, edge]
    alpha.view(-1)[pixel] = 1.0
    return Layer(light, defocus.index_put((pixel,), defocus[edge]).view_as(behind), alpha)
