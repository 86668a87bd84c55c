"""What Render Bokeh lays over each other, at its size: cut-outs, hold-outs, a background."""

from torch import Tensor

from .. import sockets
from ..host import pictures


def fitted_masks(size: tuple[int, int], **masks) -> dict[str, Tensor]:
    """Return the masks that are connected, at the size of the picture, 0…1."""
    return {
        name: pictures.fit_mask(mask, size, name).clamp(0, 1)
        for name, mask in masks.items()
        if mask is not None
    }


def known_background(
    background, depth, image: Tensor, depth_map, wraps: bool = False
) -> dict[str, Tensor]:
    """Return the background's picture and depth as `render_bokeh` takes them; {} without one.

    Raises:
        ValueError: one without the other, or depth of another kind than the photo's.
    """
    if background is None and depth is None:
        return {}
    if background is None or depth is None:
        missing = "background" if background is None else "background_depth"
        raise ValueError(f"{missing}: nothing is connected. Connect both, or neither.")
    size = tuple(image.shape[1:3])
    hidden = sockets.as_depth(depth, size, name="background_depth", wraps=wraps)
    if hidden.metric != depth_map.metric:
        kinds = ["metres" if one.metric else "no metres" for one in (depth_map, hidden)]
        raise ValueError(
            f"background_depth: has {kinds[1]}, and depth has {kinds[0]}. Connect two of a kind."
        )
    picture = pictures.as_rgb(background, "background")
    if tuple(picture.shape[1:3]) != size:
        raise ValueError(
            f"background: scale it to the image first: expected {size[0]}x{size[1]} px, found "
            f"{picture.shape[1]}x{picture.shape[2]}."
        )
    return {"background": picture, "background_depth": hidden.depth}
