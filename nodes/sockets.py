"""The sockets of this pack: their types, and what comes in checked and brought to one form."""

import logging

import torch
import torch.nn.functional as F
from comfy_api.latest import io

from .. import bokehdepth_core as core
from ..bokehdepth_core import checks

MetricDepth = io.Custom("METRIC_DEPTH")
BokehStack = io.Custom("BOKEH_STACK")
BokehGenerator = io.Custom("BOKEH_GENERATOR")
DepthEstimator = io.Custom("DEPTH_ESTIMATOR")
MogeGeometry = io.Custom("MOGE_GEOMETRY")
Da3Geometry = io.Custom("DA3_GEOMETRY")

logger = logging.getLogger(__name__)


def depth_input(name, **options):
    """Return an input that takes metric depth, a depth picture, or ComfyUI's own geometry."""
    types = [MetricDepth, io.Image, MogeGeometry, Da3Geometry]
    return io.MultiType.Input(name, types=types, **options)


def as_image(image, name="image"):
    """Return a ComfyUI IMAGE as [B,H,W,3] float32; grey is spread, alpha is left out.

    Raises:
        TypeError: not a picture.
        ValueError: another shape, empty, or NaN.
    """
    if not isinstance(image, torch.Tensor) or image.ndim != 4:
        found = list(image.shape) if isinstance(image, torch.Tensor) else type(image).__name__
        raise ValueError(f"{name}: expected an IMAGE [B,H,W,C], found {found}.")
    channels = image.shape[-1]
    if channels == 1:
        image = image.expand(-1, -1, -1, 3)
    elif channels == 4:
        image = image[..., :3]
    image = image.float()
    checks.check_image(image, name)
    return image


def as_depth(depth, image):
    """Return any depth that our inputs accept as a `DepthMap` of the picture's size and batch.

    An IMAGE is normalised disparity, near is white. Another size is brought to the picture's by
    nearest neighbour: mixing the two sides of a depth edge would invent surfaces between them.

    Args:
        depth: a `DepthMap`, an IMAGE, MOGE_GEOMETRY or DA3_GEOMETRY.
        image: [B,H,W,3], the picture that the depth belongs to.

    Raises:
        ValueError: nothing that can be read as depth, or a batch that does not fit.
    """
    found = read_depth(depth)
    height, width = image.shape[1:3]
    if found.depth.shape[1:] != (height, width):
        found = _resized(found, height, width)
    return _spread(found, image.shape[0])


def read_depth(depth):
    """Return any depth that our inputs accept as a `DepthMap`, in its own size and batch."""
    if isinstance(depth, core.DepthMap):
        return depth
    if isinstance(depth, torch.Tensor):
        grey = as_image(depth, "depth").mean(dim=-1)
        return core.DepthMap.from_normalized_disparity(grey.clamp(0, 1))
    if isinstance(depth, dict) and isinstance(depth.get("depth"), torch.Tensor):
        return _from_geometry(depth)
    raise ValueError(
        f"depth: cannot read {type(depth).__name__} as depth. Connect METRIC_DEPTH, a depth IMAGE "
        "(near is white), MOGE_GEOMETRY or DA3_GEOMETRY."
    )


def _from_geometry(geometry):
    """Read the dictionary of ComfyUI's own MoGe and Depth Anything 3 nodes."""
    depth = geometry["depth"].float()
    checks.check_shape(depth, "depth", "B H W", "It is the depth of a geometry dictionary.")
    nowhere = ~(depth > 0)  # also NaN
    if isinstance(geometry.get("mask"), torch.Tensor):
        nowhere |= ~geometry["mask"].bool()
    if isinstance(geometry.get("sky"), torch.Tensor):
        nowhere |= geometry["sky"] > 0.5
    confidence = geometry.get("confidence")
    if isinstance(confidence, torch.Tensor):
        confidence = confidence.float().clamp(min=0)
        confidence = confidence / confidence.max().clamp(min=1e-12)  # its scale is the network's
    return core.DepthMap(
        depth.masked_fill(nowhere, torch.inf), confidence, _cameras(geometry, depth)
    )


def _cameras(geometry, depth):
    cameras = geometry.get("intrinsics")
    if not isinstance(cameras, torch.Tensor):
        return None
    batch, height, width = depth.shape
    cameras = cameras.float().reshape(-1, 3, 3)
    if "mode" not in geometry:  # MoGe gives shares of the picture, Depth Anything 3 pixels
        cameras = cameras * cameras.new_tensor([width, height, 1.0])[:, None]
    return cameras.expand(batch, -1, -1) if len(cameras) in (1, batch) else None


def _resized(depth, height, width):
    found = tuple(depth.depth.shape[1:])
    logger.info("depth is %dx%d, the image %dx%d: resampled", *found, height, width)

    def nearest(values):
        return F.interpolate(values[:, None], (height, width), mode="nearest-exact")[:, 0]

    cameras = depth.intrinsics
    if cameras is not None:
        scale = cameras.new_tensor([width / found[1], height / found[0], 1.0])
        cameras = cameras * scale[:, None]
    confidence = None if depth.confidence is None else nearest(depth.confidence)
    return core.DepthMap(nearest(depth.depth), confidence, cameras, depth.metric)


def _spread(depth, batch):
    found = depth.depth.shape[0]
    if found == batch:
        return depth
    if found != 1:
        raise ValueError(
            f"depth: {found} depth maps for {batch} pictures. Give one for each, or one for all."
        )
    parts = [
        None if part is None else part.expand(batch, *part.shape[1:])
        for part in (depth.depth, depth.confidence, depth.intrinsics)
    ]
    return core.DepthMap(*parts, metric=depth.metric)


def match_batches(image, depth):
    """Return picture and depth with one batch size: a batch of one serves all of the other."""
    found = read_depth(depth)
    if image.shape[0] == 1:
        image = image.expand(found.depth.shape[0], -1, -1, -1)
    return image, as_depth(found, image)


def as_mask(mask, image, name):
    """Return a MASK as [B,H,W] or [1,H,W] of the picture's size.

    Raises:
        ValueError: not a mask, or a batch that does not fit.
    """
    if mask.ndim == 2:
        mask = mask[None]
    checks.check_shape(mask, name, "B H W", "Connect a MASK.")
    if mask.shape[0] not in (1, image.shape[0]):
        raise ValueError(f"{name}: {mask.shape[0]} masks for {image.shape[0]} pictures.")
    if mask.shape[1:] != image.shape[1:3]:
        mask = F.interpolate(mask[:, None].float(), image.shape[1:3], mode="nearest-exact")[:, 0]
    return mask


def depth_picture(depth):
    """Return depth as the picture that depth ControlNets expect: [B,H,W,3], 0…1, near is white.

    One range for the whole batch, so that a video does not flicker: the 0.1 and 99.9 percentile of
    its disparity. Normalised disparity is shown as it is.
    """
    disparity = depth.disparity
    if depth.metric:
        low, high = _percentile(disparity, 0.001), _percentile(disparity, 0.999)
        disparity = ((disparity - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
    return disparity[..., None].expand(-1, -1, -1, 3)


def _percentile(values, share):
    flat = values.flatten()
    return flat.kthvalue(1 + round(share * (flat.numel() - 1))).values
