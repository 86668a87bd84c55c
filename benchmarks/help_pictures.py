"""Pictures of the help pages in ComfyUI: the units of strength on a photo, and smaller docs' ones.

python benchmarks/help_pictures.py
"""

import io
from pathlib import Path

from PIL import Image
from torch import Tensor
from torch.nn import functional

from bokehdepth_core import focus_depth_at, render_bokeh, strength_in_px
from bokehdepth_core.demo.contact_sheet import Panel, contact_sheet
from bokehdepth_core.demo.run import load_scene
from bokehdepth_core.files.pictures.images import quantize

ROOT = Path(__file__).resolve().parents[1]
HELP = ROOT / "web" / "docs"
WIDTH, BYTES = 800, 100_000  # of a picture in a help page, at most
QUALITIES = range(85, 55, -5)
CUT = 800 / 1322  # below the third row of docs/controls.jpg
PORTRAIT = (0.4, 0.6)  # the person in front, x and y
SHARES = (2.0, 6.0, 12.0)  # % of width
SMALLER = {  # which part of which picture of docs/, from which share of its height to which
    "RenderBokeh/aperture.jpg": ("aperture.jpg", 0.0, 1.0),
    "RenderBokeh/controls.jpg": ("controls.jpg", 0.0, CUT),
    "RenderBokeh/finish.jpg": ("controls.jpg", CUT, 1.0),
    "BokehLens/looks.jpg": ("looks.jpg", 0.0, 1.0),
    "FocusPull/pull.jpg": ("focus_pull.jpg", 0.0, 1.0),
}


def units() -> Image.Image:
    """Return one photo at two sizes, with strength in both of its units."""
    scene = load_scene()
    photo, depth = scene.stack.reference[None], scene.depth
    wide = photo.shape[2]
    middle = SHARES[1]
    k = strength_in_px(middle, "% of width", wide)

    def shot(strength: float, step: int = 1) -> Tensor:
        small, near = photo[:, ::step, ::step].contiguous(), depth[:, ::step, ::step]
        out = render_bokeh(small, near, strength, focus_depth_at(near, *PORTRAIT)).clamp(0, 1)
        size = {"size": photo.shape[1:3], "mode": "bilinear"}
        return functional.interpolate(out.movedim(-1, 1), **size).movedim(1, -1)[0]

    shares = [
        Panel(
            shot(strength_in_px(share, "% of width", wide)),
            f"strength {share:g}, % of width",
            f"{wide} px wide",
        )
        for share in SHARES
    ]
    sizes = [
        Panel(shot(k), f"strength {k:.1f}, px·m", f"{wide} px wide: as {middle:g} % of width"),
        Panel(shot(k, 2), f"strength {k:.1f}, px·m", f"{wide // 2} px wide: looks twice as strong"),
        Panel(
            shot(strength_in_px(middle, "% of width", wide // 2), 2),
            f"strength {middle:g}, % of width",
            f"{wide // 2} px wide: looks as before",
        ),
    ]
    title, text = "The units of strength", "One photo with depth in metres, focused on the person"
    return Image.fromarray(quantize(contact_sheet(title, text, [shares, sizes]), 8))


def write_small(picture: Image.Image, file: Path) -> None:
    """Write a picture as wide as a help page wants it, in the best quality that is small enough."""
    picture = picture.convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    for quality in QUALITIES:
        written = io.BytesIO()
        small.save(written, "JPEG", quality=quality, optimize=True)
        if len(written.getvalue()) <= BYTES:
            file.write_bytes(written.getvalue())
            print(f"{file.relative_to(ROOT)}: {WIDTH}x{height}, quality {quality}")
            return
    raise ValueError(f"{file.name}: over {BYTES} bytes in any quality")


def main() -> None:
    """Write the pictures."""
    write_small(units(), HELP / "RenderBokeh" / "units.jpg")
    for name, (source, top, bottom) in SMALLER.items():
        with Image.open(ROOT / "docs" / source) as picture:
            rows = [round(share * picture.height) for share in (top, bottom)]
            write_small(picture.crop((0, rows[0], picture.width, rows[1])), HELP / name)


if __name__ == "__main__":
    main()
