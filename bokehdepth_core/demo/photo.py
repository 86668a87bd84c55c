"""The demo on a photo of one's own: its depth, what is in focus, and three lenses, on one sheet."""

from pathlib import Path

from torch import Tensor

from ..callbacks import OnProgress, ignore_progress
from ..depth.person.guess import guess_portrait_depth
from ..devices import interpolate
from ..files.depth.reading import read_depth_file
from ..files.pictures.images import read_image, write_image
from ..optics.aperture import Aperture
from ..optics.focus.subject import find_subject
from ..optics.thin_lens import defocus, focus_depth_at
from ..render.finish.focus_view import focus_view
from ..render.renderer import render_bokeh
from ..resample import fit_depth
from .contact_sheet import DEPTH_COLOURS, Panel, color_map, contact_sheet

LONGER_SIDE = 800  # px, to which a photo is reduced, for a sheet in less than a minute
RADIUS = 0.02  # of the width: the blur radius that a portrait lens gives its background
SHEET_NAME = "contact_sheet.png"


def run_photo_demo(
    photo: str | Path, output: str | Path, *, on_progress: OnProgress = ignore_progress
) -> list[str]:
    """Write the contact sheet of a photo into a folder and return the findings, one line each.

    Args:
        photo: a picture with depth in it, or of people.
        output: folder, made where it is missing.
        on_progress: called as work proceeds.

    Raises:
        FileNotFoundError: no such photo.
        ValueError: `output` is a file, an unreadable photo, or nobody in one that has no depth.
    """
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output: {folder} is a file. Give a folder.")
    if not Path(photo).exists():
        raise FileNotFoundError(f"{photo}: no such photo. Check the path.")
    image, depth, people, report = _photo_and_depth(Path(photo))
    if people is not None:
        focus = focus_depth_at(depth, 0.5, 0.5, people)
    else:
        focus = find_subject(image, depth).focus_depth
    on_progress(10, 100)
    sheet = contact_sheet(
        f"BokehDepth: {Path(photo).name}",
        report,
        [_given(image, depth, focus), _made(image, depth, focus, on_progress)],
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / SHEET_NAME, sheet)
    on_progress(100, 100)
    return [
        report,
        f"Contact sheet: {folder / SHEET_NAME}",
        f"In full size: bokehdepth render {photo} -o bokeh.png",
    ]


def _photo_and_depth(path: Path) -> tuple[Tensor, Tensor, Tensor | None, str]:
    """Return the reduced photo [1,H,W,3], its depth [1,H,W], people it was guessed from, a line."""
    try:
        found = read_depth_file(path)
    except ValueError:
        carried = None
    else:
        carried = found if found.photo is not None else None
    if carried is None or carried.photo is None:
        image = _reduced(read_image(path)[None])
        guess = guess_portrait_depth(image)
        return image, guess.depth.depth, guess.alpha, guess.report
    image = _reduced(carried.photo[None])
    fitted = fit_depth(carried.depth, (image.shape[1], image.shape[2]), soft_edges=True)
    return image, fitted.depth, None, "Depth was inside the photo: " + "; ".join(carried.report)


def _reduced(image: Tensor) -> Tensor:
    scale = LONGER_SIDE / max(image.shape[1:3])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[2] * scale)))
    return interpolate(image.movedim(-1, 1), size, antialias=True).movedim(1, -1).clamp(0, 1)


def _given(image: Tensor, depth: Tensor, focus: Tensor) -> list[Panel]:
    disparity = depth.reciprocal()
    low, high = disparity.min(), disparity.max()
    share = (disparity - low) / (high - low).clamp(min=1e-12)
    width = image.shape[2]
    signed = defocus(depth, _strength(depth, focus, RADIUS * width), focus)
    return [
        Panel(image[0], "Photo"),
        Panel(color_map(share[0], DEPTH_COLOURS), "Depth", "near is bright, far is dark"),
        Panel(focus_view(image, signed)[0], "Focus", "green sharp, blue behind, orange in front"),
    ]


def _made(image: Tensor, depth: Tensor, focus: Tensor, on_progress: OnProgress) -> list[Panel]:
    recipes = (
        ("Portrait lens", "2 % of the width", 1.0, Aperture(), 0.0),
        ("Twice as open", "six blades, lamps re-expanded", 2.0, Aperture(6, 15.0), 0.7),
        ("Cine lens", "anamorphic 0.5", 1.5, Aperture(anamorphic=0.5), 0.3),
    )
    strength = _strength(depth, focus, RADIUS * image.shape[2])
    panels = []
    for index, (title, note, factor, aperture, boost) in enumerate(recipes):
        picture = render_bokeh(
            image, depth, factor * strength, focus, aperture=aperture, highlight_boost=boost
        )
        panels.append(Panel(picture[0], title, note))
        on_progress(10 + 28 * (index + 1), 100)
    return panels


def _strength(depth: Tensor, focus: Tensor, radius: float) -> float:
    """Return the K whose blur reaches a radius, px, at the most defocused of the depth."""
    farthest = float((depth.reciprocal() - 1 / focus[:, None, None]).abs().max())
    return radius / farthest if farthest > 0 else 0.0
