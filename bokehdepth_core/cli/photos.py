"""Photos as the commands take and give them: in their own colour space, with their alpha."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ..color import convert_color
from ..files.atomic import whole_file
from ..files.pictures.images import Photo, read_photo
from ..files.pictures.writing import keeps_alpha, write_image


def read_photo_for(options: argparse.Namespace) -> Photo:
    """Return the photo of the options; `--color-space` says what its numbers are.

    Where the output cannot keep transparency, the photo is laid over white, and that is said.
    """
    photo = read_photo(options.image)
    if options.color_space is not None:
        photo = replace(photo, color_space=options.color_space)
    if photo.alpha is None or keeps_alpha(options.output):
        return photo
    print(
        f"{options.image.name}: transparency laid over white; {options.output.suffix} keeps none. "
        "Name the output .png, .tif or .exr to keep it.",
        file=sys.stderr,
    )
    alpha, light = photo.alpha[..., None], photo.image
    own = light if photo.premultiplied else light * alpha
    return Photo(own + (1 - alpha), None, photo.color_space)


def write_photo(options: argparse.Namespace, photo: Photo, picture: Tensor) -> None:
    """Write a picture [H,W,3] or, with its alpha, [H,W,4], that was made of a photo.

    A photo of linear light named as another kind than EXR is encoded as sRGB and cut at white; that
    is said.
    """
    suffix = options.output.suffix.lower()
    light = picture[..., :3]
    if photo.color_space != "sRGB" and suffix != ".exr":
        seen = convert_color(light, photo.color_space, "sRGB")
        cut = int(((seen > 1) | (seen < 0)).any(dim=-1).sum())
        if cut:
            print(
                f"{options.output.name}: {cut} pixels are brighter than white or out of gamut, and "
                "cut. Name it .exr to keep all light.",
                file=sys.stderr,
            )
    write_image(
        options.output,
        light,
        options.bits,
        alpha=picture[..., 3] if picture.shape[-1] == 4 else None,
        color_space=photo.color_space,
        premultiplied=photo.premultiplied,
    )


def check_coc_name(path: Path | None) -> None:
    """Refuse a file for the circles of confusion that is no EXR, before the work.

    Raises:
        ValueError: another suffix.
        FileNotFoundError: no such folder.
    """
    if path is not None and path.suffix.lower() != ".exr":
        raise ValueError(f"coc: {path.name or path} holds no signed numbers. Name it .exr.")
    if path is not None and not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: folder {path.parent} does not exist. Create it first.")


def write_coc(path: Path, radius: Tensor) -> None:
    """Write signed radii [H,W], px, front positive, as the channel Y of a float EXR."""
    import OpenEXR

    plane = np.ascontiguousarray(radius.detach().cpu().float().numpy())
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "bokehdepth.quantity": "signed radius of the circle of confusion, px, front positive",
    }
    with whole_file(path) as part, OpenEXR.File(header, {"Y": plane}) as file:
        file.write(str(part))
