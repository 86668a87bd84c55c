"""Which channel of an EXR file is its depth: by the names that renderers give, never by colour.

Blender writes ``ViewLayer.Depth.Z`` or ``Depth.V``, Nuke ``depth.Z``, Arnold and V-Ray ``Z``,
others ``depth``, ``distance`` or ``disparity``, in any part. ``normal.Z`` and ``UV.V`` are none.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..exr import ExrPart, channel_names, read_exr
from ..names import shown
from .raw import DISPARITY, METRES, RawDepth, likely_quantity, written_camera

_DEPTH_WORDS = {"z", "zdepth", "depthz", "zbuffer", "zbuf", "zpass", "d", "dist", "range", "disp"}
_DEPTH_PARTS = ("depth", "distance", "disparity")  # of a longer word: SceneDepth, DepthZ
_NO_DEPTH = re.compile(
    r"mist|normal|position|vector|motion|crypto|shadow|uv|indexob|indexma|velocity|"
    r"^n$|^p$|^pref$|world|tangent|zback|back$|confidence|mask|alpha|combined"
)
_COMPONENTS = ("z", "v", "depth", "d", "y", "l", "r", "x")  # of a depth layer, best first
_OPAQUE = 0.5  # share of the pixel that a deep sample must cover to count as its surface


def read_exr_depth(source: Path, channel: str = "") -> RawDepth:
    """Return the depth of an EXR file, on its display window.

    Args:
        source: the file; any part, layer and number type, flat or deep.
        channel: its name, such as ``Z``, ``beauty:Z`` (part and channel) or a layer's name; empty
            looks for it.

    Raises:
        ValueError: no channel by that name, or only colour whose channels differ.

    Example:
        >>> import tempfile
        >>> import OpenEXR
        >>> path = Path(tempfile.mkdtemp()) / "a.exr"
        >>> names = ("R", "G", "B", "normal.Z", "Depth.V")
        >>> OpenEXR.File({}, {n: np.full((2, 3), i, "f") for i, n in enumerate(names)}).write(
        ...     str(path)
        ... )
        >>> read_exr_depth(path).values[0].tolist()
        [4.0, 4.0, 4.0]
    """
    parts = read_exr(source)
    if not any(part.channels for part in parts):
        raise ValueError(f"{source.name}: damaged EXR file (no readable pixels). Save it again.")
    part, name, rivals = _chosen(source, parts, channel)
    values = _nearest_surface(source, part, name) if part.deep else part.plane(name)
    header = part.header
    quantity = _written_quantity(source, header.get("bokehdepth.metric"))
    if quantity == DISPARITY:  # write_depth keeps the reciprocal of normalised disparity
        with np.errstate(divide="ignore"):
            values = np.reciprocal(values.astype(np.float64))
    colour, camera = _is_colour(name), header.get("bokehdepth.intrinsics")
    notes = []
    if name != "Z" or len(parts) > 1 or rivals or part.deep:
        notes.append(_choice(parts, part, name, rivals))
    inside = np.ones(part.size, bool) if part.deep else part.inside  # no sample is no surface
    return RawDepth(
        values,
        quantity,
        likely_quantity(f"{part.name} {name}"),
        1.0 if quantity == DISPARITY else None,
        measured=None if inside.all() else inside,
        confidence=part.plane("confidence") if "confidence" in part.channels else None,
        intrinsics=written_camera(source, camera) if isinstance(camera, str) else None,
        notes=tuple(notes),
        colour_only=colour,
    )


def _written_quantity(source: Path, written: object) -> str | None:
    """Return what `write_depth` says the numbers are; None where it did not write them."""
    if written is None:
        return None
    if written not in ("true", "false"):
        raise ValueError(
            f"{source.name}: bokehdepth.metric: expected true or false, found "
            f"{str(written)[:40]!r}. Save the depth again."
        )
    return METRES if written == "true" else DISPARITY


def _choice(parts: Sequence[ExrPart], part: ExrPart, name: str, rivals: Sequence[str]) -> str:
    where = f"{part.name}:{name}" if len(parts) > 1 and part.name else name
    text = f"channel {shown([where])} taken"
    if part.deep:
        text += ", the nearest sample that covers half of its pixel"
    if rivals:
        text += f"; others: {shown(rivals)}; `channel` names one"
    return text


def _chosen(
    source: Path, parts: Sequence[ExrPart], channel: str
) -> tuple[ExrPart, str, Sequence[str]]:
    """Return the part and the name of the depth channel, and what else it could have been."""
    if channel:
        return (*_named(source, parts, channel), ())
    several = len(parts) > 1
    found: list[tuple[tuple[int, int], int, ExrPart, str, str]] = []
    for part in parts:
        for name in part.channels:
            rank = _rank(part, name)
            if rank is not None:
                full = f"{part.name}:{name}" if several and part.name else name
                found.append((rank, len(found), part, name, full))
    if found:
        rank, _, part, name, _ = min(found, key=lambda one: one[:2])
        layer = _layer(name)
        rivals = [
            full
            for other, _, its_part, its_name, full in found
            if not (its_part is part and (its_name == name or _layer(its_name) == layer != ""))
            and other[0] == rank[0]
        ]
        if _component(name) in ("r", "x") and layer:
            _need_grey(source, parts, part, name)
        return part, name, rivals
    return (*_colour(source, parts), ())


def _named(source: Path, parts: Sequence[ExrPart], channel: str) -> tuple[ExrPart, str]:
    wanted = channel.lower()
    names = [(part, name) for part in parts for name in part.channels]
    for exact in (True, False):
        for part, name in names:
            full = f"{part.name}:{name}"
            if channel in (name, full) if exact else wanted in (name.lower(), full.lower()):
                return part, name
    layer = [
        (part, name)
        for part, name in names
        if wanted
        in (_layer(name).lower(), f"{part.name}:{_layer(name)}".lower(), part.name.lower())
    ]
    for component in _COMPONENTS:
        for part, name in layer:
            if _component(name) == component:
                if component == "r":
                    _need_grey(source, parts, part, name)
                return part, name
    if len(layer) == 1:
        return layer[0]
    raise ValueError(
        f"{source.name}: no channel named {shown([channel])}; found "
        f"{shown(channel_names(parts))}. `channel` names one of them."
    )


def _rank(part: ExrPart, name: str) -> tuple[int, int] | None:
    """Return how likely a channel is the depth, least is best; None: it is not."""
    layer, component = _layer(name), _component(name)
    words = [*layer.lower().split("."), component]
    outside = [part.name.lower(), *layer.lower().split(".")]
    siblings = {_component(other) for other in part.channels if _layer(other) == layer}
    place = _COMPONENTS.index(component) if component in _COMPONENTS else len(_COMPONENTS)
    right = 1 if {"right", "r"} & set(re.split(r"\W+", " ".join(outside))) else 0
    if any(_NO_DEPTH.search(word) for word in outside if word and not _is_depth(word)):
        return None
    if _NO_DEPTH.search(component):
        return None
    later = 4 if "denois" in name.lower() else 0
    in_layer = any(_is_depth(word) for word in outside if len(word) > 1)
    if in_layer and (component in _COMPONENTS or _is_depth(component)):
        return later + right, place
    if component == "z" and not {"x", "y"} <= siblings:
        return later + right, place
    if len(component) > 1 and _is_depth(component):
        return later + right, place
    if component in ("d", "v") and not {"u", "x", "h", "s"} & siblings and len(words) == 2:
        return 2 + later + right, place
    return None


def _is_depth(word: str) -> bool:
    plain = re.sub(r"[^a-z]", "", word)
    return plain in _DEPTH_WORDS or any(part in plain for part in _DEPTH_PARTS)


def _colour(source: Path, parts: Sequence[ExrPart]) -> tuple[ExrPart, str]:
    """Return a channel of colour that is grey; there is no depth channel.

    Raises:
        ValueError: the channels differ, or there is no colour either.
    """
    for part in parts:
        for name in part.channels:
            if not _is_colour(name) or part.deep or _is_vector(part, name):
                continue
            if _component(name) in ("r", "y", "l"):
                _need_grey(source, parts, part, name)
                return part, name
    raise _no_depth(source, parts)


def _need_grey(source: Path, parts: Sequence[ExrPart], part: ExrPart, name: str) -> None:
    layer = _layer(name)
    planes = {
        _component(other): part.channels[other]
        for other in part.channels
        if _layer(other) == layer
        and _component(other) in ("r", "g", "b", "x", "y", "z", "ry", "by")
    }
    first = part.channels[name]
    if _component(name) == "y" and "ry" not in planes:  # luminance alone
        return
    if any(
        plane.shape != first.shape or not np.array_equal(plane, first, equal_nan=True)
        for plane in planes.values()
    ):
        raise _no_depth(source, parts)


def _no_depth(source: Path, parts: Sequence[ExrPart]) -> ValueError:
    return ValueError(
        f"{source.name}: no depth channel, and colour is no depth; found "
        f"{shown(channel_names(parts))}. Name the depth Z, or name it with `channel`."
    )


def _is_colour(name: str) -> bool:
    layer = _layer(name).lower()
    return _component(name) in ("r", "g", "b", "y", "l") and not _is_depth(layer.split(".")[-1])


def _is_vector(part: ExrPart, name: str) -> bool:
    """Return whether a channel is the y of a direction or place, and no luminance."""
    siblings = {_component(one) for one in part.channels if _layer(one) == _layer(name)}
    return _component(name) == "y" and bool(siblings & {"x", "z"})


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _component(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _nearest_surface(source: Path, part: ExrPart, name: str) -> np.ndarray:
    """Return for each pixel of a deep part the depth of its nearest opaque sample, [H,W].

    The nearest sample that covers half of the pixel by itself; where none does, the one at which
    the samples in front of it and its own together do; infinity where all of them do not.

    Reference:
        OpenEXR, Interpreting OpenEXR Deep Pixels: opacities of samples in front of each other
        combine as 1 − (1 − a)(1 − b).
    """
    depths = part.samples(name)
    if depths.dtype != object:
        raise ValueError(f"{source.name}: a deep EXR that OpenEXR cannot unpack. Flatten it.")
    opacity_name = next((n for n in (f"{_layer(name)}.A", "A") if n in part.channels), None)
    surface = np.full(depths.size, np.inf, np.float32)
    lists = depths.ravel()
    seen = [index for index, samples in enumerate(lists) if samples is not None and len(samples)]
    if not seen:
        return surface.reshape(part.size)
    z = np.concatenate([lists[index] for index in seen]).astype(np.float32)
    pixel = np.repeat(seen, [len(lists[index]) for index in seen])
    alpha = np.ones_like(z)
    if opacity_name is not None:
        opacities = part.samples(opacity_name).ravel()
        alpha = np.concatenate([opacities[index] for index in seen]).astype(np.float32).clip(0, 1)
    order = np.lexsort((z, pixel))
    z, pixel, alpha = z[order], pixel[order], alpha[order]
    for covered in (_joint_opacity(pixel, alpha) >= _OPAQUE, alpha >= _OPAQUE):  # the latter wins
        first, place = np.unique(pixel[covered], return_index=True)
        surface[first] = z[covered][place]
    return surface.reshape(part.size)


def _joint_opacity(pixel: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return the opacity of each sample and all in front of it; samples sorted by pixel, depth."""
    clear = np.cumsum(np.log(np.maximum(1 - alpha.astype(np.float64), 1e-12)))
    starts = np.flatnonzero(np.r_[True, pixel[1:] != pixel[:-1]])
    before = np.r_[0.0, clear][starts]
    joint: np.ndarray = 1 - np.exp(clear - np.repeat(before, np.diff(np.r_[starts, len(pixel)])))
    return joint
