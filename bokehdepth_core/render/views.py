"""One picture on its way through the lens: from numbers to light, and back to numbers.

In goes a picture [H,W,3] as the user gave it, with the blur radius of every pixel; out comes its
light, [3,H,W] with white at 1, or [4,H,W] multiplied with alpha where it is a cut-out. In sRGB

    light = ((value + 0.055) / 1.055)^2.4,    value ≥ 0.04045,

and in the linear colour spaces light = value (`PixelMeaning`). A `View` keeps together what belongs
to one picture: it is cut into tiles as one, and knows what of it is held out or boosted.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checks import check_depth, check_image
from ..color import convert_color, linear_to_srgb, srgb_to_linear
from .finish.grain import add_grain, measure_grain
from .highlights import HighlightBoost
from .panorama import own_columns, turned_part, with_other_end
from .slices.coverage import BORDER, extended, solid_pixels

GREY = 0.5  # sRGB behind a cut-out where its edges are looked for; a picture may be white or black
LEAST_ALPHA = 1e-4  # below it light over alpha is rounding, not a colour
HELD = 0.02  # of a hold-out mask, from which on a pixel may hold the region's own colours


@dataclass(frozen=True)
class PixelMeaning:
    """What the numbers of a picture are: `color_space` and `premultiplied` of `render_bokeh`."""

    color_space: str
    premultiplied: bool

    def light(self, picture: Tensor) -> Tensor:
        """Return linear light, float32, of a picture."""
        picture = picture.float()
        return srgb_to_linear(picture) if self.color_space == "sRGB" else picture

    def values(self, light: Tensor) -> Tensor:
        """Return what a picture holds for linear light."""
        return linear_to_srgb(light) if self.color_space == "sRGB" else light

    def as_seen(self, picture: Tensor, alpha: Tensor | None) -> Tensor:
        """Return [H,W,3] sRGB, over grey where it is transparent, in which edges are looked for."""
        seen = convert_color(picture, self.color_space, "sRGB")
        if alpha is None:
            return seen
        own = seen if self.premultiplied else seen * alpha[..., None]
        return own + GREY * (1 - alpha[..., None])

    def with_alpha(self, light: Tensor) -> Tensor:
        """Return [H,W,4] of light and its coverage [4,H,W]."""
        color, alpha = light[:3], light[3:].clamp(0, 1)
        if not self.premultiplied:
            color = torch.where(alpha > LEAST_ALPHA, color / alpha.clamp(min=LEAST_ALPHA), 0.0)
        return torch.cat([self.values(color), alpha]).movedim(0, -1)


@dataclass(frozen=True, eq=False)
class View:
    """A picture and its defocus.

    Attributes:
        picture: [H,W,3], as its meaning says.
        defocus: [H,W], px, front positive.
        meaning: of the picture's numbers.
        alpha: [H,W], 0…1, what it covers; None for all.
        present: [H,W], 0 where it is held out; None for nowhere.
        boosted: [H,W], 0…1, where lamps are boosted; None for nowhere.
        wraps: whether left and right border join (`panorama.py`).
        height: [H,W], px, disparity on a scale of its own (`edge_scale`), by whose edges the
            layers are made whatever the focus; None where `defocus` alone says where edges are.
    """

    picture: Tensor
    defocus: Tensor
    meaning: PixelMeaning
    alpha: Tensor | None = None
    present: Tensor | None = None
    boosted: Tensor | None = None
    wraps: bool = False
    height: Tensor | None = None

    def part(self, place: tuple[slice, slice]) -> "View":
        """Return the view of a part of the picture; of a panorama also of columns outside of it."""
        alpha, present, boosted = self.alpha, self.present, self.boosted
        height = self.height
        return replace(
            self,
            picture=turned_part(self.picture, place),
            defocus=turned_part(self.defocus, place),
            alpha=None if alpha is None else turned_part(alpha, place),
            present=None if present is None else turned_part(present, place),
            boosted=None if boosted is None else turned_part(boosted, place),
            height=None if height is None else turned_part(height, place),
        )

    def with_lamps(self, boost: HighlightBoost) -> "View":
        """Return the view of a whole picture that knows where its lamps are."""
        if boost.strength == 0:
            return self
        light = self.meaning.light(self.picture).movedim(-1, 0)
        return replace(self, boosted=boost.share(light, self.wraps))

    def within_white(self) -> bool:
        """Tell whether the picture as given holds no light above white."""
        return bool(self.picture.max() <= 1)

    def cut_out(self) -> "View":
        """Return the view with the defocus of what is solid beside what is transparent."""
        if self.alpha is None:
            return self
        around = self._half_a_turn
        alpha, defocus = (with_other_end(one, around) for one in (self.alpha, self.defocus))
        found = extended(defocus, solid_pixels(alpha))
        return replace(self, defocus=own_columns(found, around))

    def without(self, held: Tensor) -> "View":
        """Return the view without what a mask [H,W] holds out: its surroundings go on there."""
        there = held <= HELD
        planes = [self.picture.movedim(-1, 0), self.defocus[None].to(self.picture)]
        if self.alpha is not None:
            planes.append(self.alpha[None].to(self.picture))
        around = self._half_a_turn
        wide = with_other_end(torch.cat(planes), around)
        found = own_columns(extended(wide, with_other_end(there, around)), around)
        alpha = None if self.alpha is None else found[4]
        return replace(
            self,
            picture=found[:3].movedim(0, -1),
            defocus=found[3].to(self.defocus),
            alpha=alpha,
            present=there.to(self.defocus),
        )

    @property
    def _half_a_turn(self) -> int:
        """Columns at either side among which the nearest of all pixels is; 0 without a joint."""
        return self.defocus.shape[1] // 2 + 1 + BORDER if self.wraps else 0

    def light(self, boost: HighlightBoost) -> Tensor:
        """Return [3,H,W] linear light, clipped highlights boosted; [4,H,W] with its coverage."""
        light = self.meaning.light(self.picture.movedim(-1, 0).contiguous())
        if self.boosted is not None:
            light = light * boost.gain(self.boosted, self.defocus)
        if self.alpha is None:
            return light
        light = light if self.meaning.premultiplied else light * self.alpha
        return torch.cat([light, self.alpha[None].to(light)])

    def keep(self, rendered: Tensor, held: Tensor | None) -> Tensor:
        """Return a rendered picture [H,W,C] with this one where a mask [H,W] holds it out."""
        if held is None:
            return rendered
        own = self.picture
        if self.alpha is not None:
            own = torch.cat([own, self.alpha[..., None].to(own)], dim=-1)
        share = held[..., None]
        if self.alpha is None:
            light, seen = self.meaning.light(own), self.meaning.light(rendered)
            mixed = self.meaning.values(torch.lerp(seen, light, share)).to(own.dtype)
        else:
            light, seen = (self._covered(one) for one in (own, rendered.to(own.dtype)))
            mixed = self.meaning.with_alpha(torch.lerp(seen, light, held)).to(own.dtype)
        return torch.where(share >= 1, own, torch.where(share <= 0, rendered, mixed))

    def grained(self, rendered: Tensor, amount: float, seed: int) -> Tensor:
        """Return a rendered picture [H,W,C] with the grain of this one where blur took it."""
        space, colors = self.meaning.color_space, rendered[..., :3].float()
        grain = measure_grain(convert_color(self.picture.float(), space, "sRGB"))
        seen = convert_color(colors, space, "sRGB")
        grained = add_grain(seen, self.defocus, grain, amount, seed, wraps=self.wraps)
        found = convert_color(grained, "sRGB", space)
        if self.alpha is not None and self.meaning.premultiplied:
            found = torch.lerp(colors, found, rendered[..., 3:].float())
        return torch.cat([found.to(rendered.dtype), rendered[..., 3:]], dim=-1)

    def _covered(self, picture: Tensor) -> Tensor:
        """Return light times its coverage, and that, [4,H,W], of [H,W,4]."""
        light, alpha = self.meaning.light(picture[..., :3]), picture[..., 3:].float()
        light = light if self.meaning.premultiplied else light * alpha
        return torch.cat([light, alpha], dim=-1).movedim(-1, 0)


def depth_like(depth: Tensor, image: Tensor, name: str) -> Tensor:
    """Return depth [B,H,W] float32 for each picture of an image [B,H,W,C], on its device.

    Raises:
        ValueError: unusable, or of another size or number; `name` is the input it came by.
    """
    size = check_depth(depth, name)
    batch, height, width = image.shape[:3]
    if (size["H"], size["W"]) != (height, width) or size["B"] not in (1, batch):
        raise ValueError(
            f"{name}: expected {[batch, height, width]} like the image, found {list(depth.shape)}. "
            "Resample it to the picture first."
        )
    return depth.to(image.device, torch.float32).expand(batch, -1, -1)


def background_like(
    background: Tensor | None, depth: Tensor | None, image: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Return a background and its depth for each picture of an image; None if neither is given.

    Raises:
        ValueError: one without the other, unusable, or of another size or number.
    """
    if background is None and depth is None:
        return None
    if background is None or depth is None:
        missing = "background" if background is None else "background_depth"
        raise ValueError(f"{missing}: missing. Give the background and its depth, or neither.")
    check_image(background, "background")
    batch = image.shape[0]
    if background.shape[1:] != image.shape[1:] or len(background) not in (1, batch):
        raise ValueError(
            f"background: expected {list(image.shape)} like the image, found "
            f"{list(background.shape)}. Resample it to the picture first."
        )
    return background.to(image).expand(batch, -1, -1, -1), depth_like(
        depth, image, "background_depth"
    )
