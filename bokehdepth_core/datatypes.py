"""The two things that travel between the stages: a bokeh stack and a depth map."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .checks import check_depth, check_image, check_number, check_shape, check_strengths


@dataclass(frozen=True, eq=False)
class BokehStack:
    """One sharp photo and the same view at growing bokeh strengths.

    Attributes:
        reference: [H,W,3], sRGB, 0…1; the sharp photo (strength 0).
        frames: [N,H,W,3], sRGB, 0…1.
        strengths: N numbers, px·m, > 0: bokeh strength K of each frame.
        settings: how the frames were made (seed, steps, prompt …); saved with them.
        focus_depths: N depths of the plane that is sharp in each frame, m, > 0, infinity allowed;
            the reference is then sharp everywhere. None where all frames share one focus plane,
            as an aperture bracket does.
        metric: False where `focus_depths` are reciprocals of relative disparity instead of metres;
            strengths are then px for one unit of it.

    Raises:
        TypeError: a picture is not a floating-point tensor.
        ValueError: sizes that do not match, no frames, unusable strengths or focus depths.

    Reference:
        arXiv 2512.12425, stage 1: one photo at growing bokeh strengths K. Focus stacks are this
        project's own addition.

    Example:
        >>> photo, frames = torch.rand(4, 6, 3), torch.rand(2, 4, 6, 3)
        >>> BokehStack(photo, frames, strengths=(10, 20)).strengths
        (10.0, 20.0)
    """

    reference: Tensor
    frames: Tensor
    strengths: tuple[float, ...]
    settings: Mapping[str, object] = field(default_factory=dict)
    focus_depths: tuple[float, ...] | None = None
    metric: bool = True

    def __post_init__(self) -> None:
        size = check_image(self.reference, "reference", "H W 3")
        frames = check_image(self.frames, "frames", "N H W 3")
        object.__setattr__(self, "strengths", check_strengths(self.strengths))
        if (frames["H"], frames["W"]) != (size["H"], size["W"]):
            raise ValueError(
                f"frames: expected {size['H']}x{size['W']} like the reference, found "
                f"{frames['H']}x{frames['W']}. Give all pictures of a stack the same size."
            )
        if frames["N"] != len(self.strengths):
            raise ValueError(
                f"strengths: {len(self.strengths)} given for {frames['N']} frames. "
                "Give one bokeh strength for each frame, in the same order."
            )
        if self.focus_depths is not None:
            depths = tuple(_focus_depth(depth) for depth in self.focus_depths)
            object.__setattr__(self, "focus_depths", depths)
            if len(depths) != frames["N"]:
                raise ValueError(
                    f"focus_depths: {len(depths)} given for {frames['N']} frames. "
                    "Give one focus distance for each frame, in the same order."
                )

    @property
    def focus_disparities(self) -> tuple[float, ...] | None:
        """N disparities of the frames' focus planes, 1/m, or None as `focus_depths` is."""
        if self.focus_depths is None:
            return None
        return tuple(1 / depth for depth in self.focus_depths)


def _focus_depth(depth: float) -> float:
    """Return a focus depth after checking it; infinity is one."""
    if depth == math.inf:
        return math.inf
    hint = "Give metres, or inf for infinity."
    return check_number(depth, "focus_depths", above=0.0, hint=hint)


@dataclass(frozen=True, eq=False)
class DepthMap:
    """Depth along the optical axis for a batch of pictures.

    Attributes:
        depth: [B,H,W], m, > 0; infinity means no surface (sky).
        confidence: [B,H,W], 0…1, or None where the estimator gives none.
        intrinsics: [B,3,3], px, first pixel's centre at 0.5, or None where unknown.
        metric: True for metres. False where only normalised disparity (0…1, near is 1) is known;
            depth is then its reciprocal, so `disparity` is that number and nothing is in metres.

    Raises:
        TypeError: a tensor of another kind.
        ValueError: sizes that do not match, NaN, zero or negative depth.

    Reference:
        Depth Z and intrinsics of a pinhole camera: Hartley and Zisserman, "Multiple View Geometry
        in Computer Vision", 6.1. Relative disparity, known up to scale and offset: Ranftl et al.,
        "Towards robust monocular depth estimation", TPAMI 2022.

    Example:
        >>> DepthMap(torch.tensor([[[2.0, torch.inf]]])).disparity
        tensor([[[0.5000, 0.0000]]])
    """

    depth: Tensor
    confidence: Tensor | None = None
    intrinsics: Tensor | None = None
    metric: bool = True

    def __post_init__(self) -> None:
        size = check_depth(self.depth)
        if self.confidence is not None:
            check_shape(self.confidence, "confidence", "B H W")
            if self.confidence.shape != self.depth.shape:
                raise ValueError(
                    f"confidence: expected {list(self.depth.shape)} like depth, "
                    f"found {list(self.confidence.shape)}."
                )
            if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
                raise ValueError("confidence: expected values within 0…1.")
        if self.intrinsics is not None:
            cameras = check_shape(self.intrinsics, "intrinsics", "B 3 3")["B"]
            if cameras != size["B"]:
                raise ValueError(
                    f"intrinsics: {cameras} cameras for {size['B']} depth maps. Give one for each."
                )

    @property
    def disparity(self) -> Tensor:
        """[B,H,W], 1/m (0…1 and unit-free where `metric` is False); zero at infinity."""
        return torch.reciprocal(self.depth)

    @classmethod
    def from_normalized_disparity(cls, disparity: Tensor) -> "DepthMap":
        """Return a map without metres from [B,H,W] disparity 0…1, near is 1.

        Raises:
            TypeError: not a floating-point tensor.
            ValueError: another shape, or values that are NaN or outside 0…1.
        """
        check_shape(disparity, "disparity", "B H W", "Near is 1, far is 0.")
        if not ((disparity >= 0) & (disparity <= 1)).all():
            raise ValueError(
                "disparity: expected values within 0…1, found "
                f"{float(disparity.min()):g} to {float(disparity.max()):g}. Normalise it first."
            )
        return cls(torch.reciprocal(disparity), metric=False)
