"""An aperture of one's own, from a picture: a heart, a star, dirt on glass, a coloured filter.

The brightness of the picture is the light over the aperture. It is what a lamp behind the focus
plane looks like; in front of it, the lens turns it by 180°.
"""

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_image
from ..color import srgb_to_linear
from ..devices import interpolate

LARGEST_SIDE = 1024  # px that are kept, as many as the finest aperture mask has
LEAST_LIGHT = 1e-4  # of white, on average; darker, nothing is seen through the aperture
_GREY = 1e-3  # linear light by which the channels of a grey picture may differ
_NAMES = ("red", "green", "blue")


@dataclass(frozen=True, eq=False)
class AperturePicture:
    """The light over an aperture; its square touches the circle of the blur radius.

    Attributes:
        light: [3,n,n], linear light, >= 0, each channel with a mean of 1.

    Example:
        >>> AperturePicture.of(torch.ones(8, 6, 3)).light.shape  # black beside what is narrower
        torch.Size([3, 8, 8])
    """

    light: Tensor

    @classmethod
    def of(cls, picture: Tensor) -> "AperturePicture":
        """Return a picture [H,W,3] or [1,H,W,3], sRGB, as an aperture.

        Raises:
            ValueError: another shape, or a channel without light.
        """
        pixels = picture[0] if picture.ndim == 4 and len(picture) == 1 else picture
        check_image(pixels, "aperture_image", "H W 3")
        planes = srgb_to_linear(pixels.detach().cpu().float().clamp(0, 1)).movedim(-1, 0)
        side = max(planes.shape[1:])
        rows, columns = side - planes.shape[1], side - planes.shape[2]
        border = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        planes = torch.nn.functional.pad(planes, border)
        if side > LARGEST_SIDE:
            planes = _resized(planes, LARGEST_SIDE)
        means = planes.mean((1, 2))
        for name, mean in zip(_NAMES, means.tolist(), strict=True):
            if mean < LEAST_LIGHT:
                raise ValueError(
                    f"aperture_image: its {name} is black everywhere, and no {name} light would "
                    "pass the lens. Paint the opening in white or light colours on black."
                )
        return cls(planes / means[:, None, None])

    @property
    def is_coloured(self) -> bool:
        """Whether the channels differ: then each has a PSF of its own."""
        differing = (self.light - self.light.mean(0, keepdim=True)).abs().amax()
        return bool(differing > _GREY * self.light.amax())

    def mask(self, size: int, device: torch.device | None) -> Tensor:
        """Return the light in the middle of an aperture mask [size,size], 0 on its border.

        Args:
            size: of the mask, px; the picture fills it but for one pixel around.
            device: where it goes.
        """
        grey = _resized(self.light.mean(0, keepdim=True), size - 2)[0]
        turned = grey.flip(0, 1).clamp(min=0)  # masks show the PSF in front of the focus plane
        return torch.nn.functional.pad(turned, (1, 1, 1, 1)).to(device)


@functools.lru_cache(maxsize=32)
def channel_of(picture: AperturePicture, channel: int) -> AperturePicture:
    """Return one channel of a picture, 0…2, as a grey one; the same object each time."""
    return AperturePicture(picture.light[channel : channel + 1].expand(3, -1, -1))


def _resized(planes: Tensor, side: int) -> Tensor:
    return interpolate(planes[None], (side, side), antialias=True)[0].clamp(min=0)


CORNER = math.sqrt(2.0)  # blur radii from the middle of a picture to its corners
