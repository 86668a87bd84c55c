"""`bokehdepth render`: a photo and its depth in, the photo through a lens out."""

import argparse

from torch import Tensor

from ..datatypes import DepthMap
from ..files.depth_maps import read_depth
from ..files.exif import read_photo_lens
from ..files.images import check_picture_name, read_image, write_image
from ..optics.thin_lens import bokeh_strength_from_lens
from ..render.renderer import render_bokeh
from .inputs import fitted, focus_plane
from .options import aperture_of, check_folder
from .progress import progress_bar


def run_render(options: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ValueError: unusable options or files.
        FileNotFoundError: no such file.
    """
    check_folder(options.output)
    check_picture_name(options.output, options.bits)
    image = read_image(options.image)[None]
    depth = read_depth(options.depth, options.depth_scale)
    depth = fitted(options.depth, depth, image, options.refine)
    known = _background(options, depth, image)
    focus_depth = focus_plane(options, depth)
    strength = options.strength
    if strength is None:
        strength = _lens_strength(options, depth, float(focus_depth), image)
    with progress_bar("render") as on_progress:
        blurred = render_bokeh(
            image.to(options.device),
            depth.depth.to(options.device),
            strength,
            focus_depth,
            aperture=aperture_of(options),
            highlight_boost=options.highlight_boost,
            quality=options.quality,
            refine_depth=options.refine,
            **known,
            on_progress=on_progress,
        )
    write_image(options.output, blurred, options.bits)
    unit = " m" if depth.metric else " (unit-free)"
    print(f"{options.output}: strength {strength:g}, focus at {float(focus_depth):.3g}{unit}")


def _background(
    options: argparse.Namespace, depth: DepthMap, image: Tensor
) -> dict[str, Tensor | None]:
    """Return what is known of the background, as `render_bokeh` takes it."""
    picture = hidden = None
    if options.background is not None:
        picture = read_image(options.background)[None].to(options.device)
    if options.background_depth is not None:
        found = read_depth(options.background_depth, options.depth_scale)
        found = fitted(options.background_depth, found, image, refined=False)
        if found.metric != depth.metric:
            raise ValueError(
                f"{options.background_depth}: one of the two depths is in metres and the other is "
                "not. Give two of a kind."
            )
        hidden = found.depth.to(options.device)
    return {"background": picture, "background_depth": hidden}


def _lens_strength(
    options: argparse.Namespace, depth: DepthMap, focus_depth: float, image: Tensor
) -> float:
    """Return K from the lens options, with the photo's EXIF for what they leave out."""
    if not depth.metric:
        raise ValueError(
            "f_number: a lens needs depth in metres and this one is normalised disparity. "
            "Give --strength instead."
        )
    lens = read_photo_lens(options.image)
    values = {
        name: getattr(options, name) or getattr(lens, name)
        for name in ("f_number", "focal_length_mm", "focal_length_35mm")
    }
    missing = [name for name, value in values.items() if value is None]
    if missing:
        flags = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise ValueError(
            "strength: not given, and the photo's EXIF lacks the lens. "
            f"Give --strength, or {flags}."
        )
    height, width = image.shape[1:3]
    return bokeh_strength_from_lens(
        **values, focus_distance_m=focus_depth, width=width, height=height
    )
