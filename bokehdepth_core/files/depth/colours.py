"""Whether a picture is grey, a colour map laid over depth, or a photo.

Tools show depth through turbo, Spectral, viridis and the like. Such a picture cannot be read back
as grey: its brightness rises and falls again along the way from near to far.
"""

import numpy as np

GREY, COLOUR_MAP, PHOTO = "grey", "colour map", "photo"
_GREY_MEAN, _GREY_MOST = 0.012, 0.06  # spread of the channels: JPEG's chroma, tinted scans
_STEPS = 24  # of each channel, when colours are counted
_MAP_COLOURS = 150  # a curve through the colour cube meets about 3·24 cells, its neighbours as many
_SAMPLE = 65536  # pixels that are looked at


def kind_of_picture(pixels: np.ndarray) -> str:
    """Return `GREY`, `COLOUR_MAP` or `PHOTO`.

    A colour map is one curve through the colour cube: the picture has few colours, next to each
    other on that curve. A photo fills the cube. Tuned on turbo, jet, Spectral, viridis, inferno,
    magma, plasma and hsv over depth maps, as PNG and JPEG, and on the photographs at hand.

    Args:
        pixels: [H,W,3], 0…1.

    >>> ramp = np.linspace(0, 1, 256)[None, :, None]
    >>> kind_of_picture(np.repeat(ramp, 3, axis=-1)), kind_of_picture(ramp ** np.array([1, 2, 4]))
    ('grey', 'colour map')
    """
    flat = pixels.reshape(-1, 3)
    flat = flat[:: max(1, len(flat) // _SAMPLE)].astype(np.float64)
    spread = flat.max(axis=1) - flat.min(axis=1)
    if spread.mean() <= _GREY_MEAN and np.quantile(spread, 0.99) <= _GREY_MOST:
        return GREY
    cells = (flat * _STEPS).round().astype(np.int64) @ np.array([10_000, 100, 1])
    names, counts = np.unique(cells, return_counts=True)
    common = names[counts >= max(1, len(flat) // 20_000)]  # not a stray pixel of JPEG's ringing
    if len(common) > _MAP_COLOURS or len(common) < 4:
        return PHOTO
    colours = np.stack([common // 10_000, common // 100 % 100, common % 100], axis=-1)
    steps = np.abs(colours[:, None] - colours[None]).max(axis=-1)
    np.fill_diagonal(steps, _STEPS)
    joined = (steps.min(axis=1) <= 3).mean()  # neighbours on the curve
    reach = (colours.max(axis=0) - colours.min(axis=0)).max() / _STEPS
    return COLOUR_MAP if joined > 0.8 and reach > 0.3 else PHOTO


def check_grey(pixels: np.ndarray, name: str) -> None:
    """Refuse a picture whose colours are no depth.

    Args:
        pixels: [H,W,3], 0…1.
        name: of the file or input, for the message.

    Raises:
        ValueError: a colour-mapped depth picture, or a colour photo.
    """
    kind = kind_of_picture(pixels)
    if kind == COLOUR_MAP:
        raise ValueError(
            f"{name}: a colour-mapped depth picture (turbo, Spectral, viridis …), which cannot be "
            "read back as depth. Save it in grey, near is white, or as EXR, NPZ or 16-bit PNG."
        )
    if kind == PHOTO:
        raise ValueError(
            f"{name}: a colour picture without depth inside, and its brightness is no depth. "
            "Give a grey depth picture, near is white, or EXR, NPZ or 16-bit PNG."
        )
