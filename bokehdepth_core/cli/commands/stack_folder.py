"""`bokehdepth stack` over a folder or a manifest: stacks of many photos, and a manifest of them.

Every photo gets a folder of its own in the output; `stack.json` in it is written last, so that a
run which was stopped goes on where it was. Processes of `accelerate launch` share the photos.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...color import convert_color
from ...datatypes import DepthMap
from ...files.atomic import check_no_input, inputs_kept, whole_file
from ...files.names import shown
from ...training.manifest import REFUSE, Entry, read_manifest, write_manifest
from ...training.processes import Processes, this_process
from ...weights.published import BUILT_IN
from ..inputs import depth_of
from ..lens_options import aperture_of
from ..photos import read_photo_for
from .stack import (
    RECORD,
    Make,
    check_no_other_frames,
    check_used,
    stack_maker,
    write_stack,
)

MANIFEST = "manifest.jsonl"
DEPTH = "depth.npz"
_PHOTOS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".heic")
_LARGEST_RECORD = 1 << 20  # bytes
_SETTINGS = ("adapter", "base_model", "quality", "bits", "focus_point", "focus_distance")


@dataclass(frozen=True)
class Item:
    """A photo of the folder or manifest, where its stack goes, and its depth file."""

    photo: Path
    output: Path
    depth: Path | None
    depth_scale: float | None = None
    where: str = ""


def run_stack_folder(options: argparse.Namespace, strengths: tuple[float, ...]) -> None:
    """Make what is missing of the stacks of a folder or manifest, and write their manifest.

    Raises:
        ValueError: unusable options; a stack that is there was made with other ones; or, unless
            bad data are skipped, an unusable photo.
        FileNotFoundError: no depth for a photo.
    """
    built_in = options.adapter == BUILT_IN
    # With an adapter depth is not needed to make the stack, but it is the truth to train with.
    check_used(options if built_in else _with(options, depth=None))
    check_no_input(options.output / MANIFEST, [options.image])
    skipped: list[str] = []
    on_bad = options.on_bad or REFUSE
    items = _items(options, on_bad, skipped)
    processes = this_process()
    options.output.mkdir(parents=True, exist_ok=True)
    wanted = _settings(options, strengths)
    missing = [one for one in items if not _is_made(one, wanted)]
    made = _make_all(options, missing[processes.index :: processes.count], wanted, on_bad, skipped)
    for line in skipped:
        print(line, file=sys.stderr)
    processes.wait()
    if not processes.is_main:
        return
    entries = [_entry(one) for one in items if _is_made(one, wanted)]
    if not entries:
        raise ValueError(f"image: no stack could be made of {options.image}. See the lines above.")
    write_manifest(options.output / MANIFEST, entries)
    print(f"{options.output}: {_counted(len(entries), processes, made)}, listed in {MANIFEST}")


def _counted(total: int, processes: Processes, made: int) -> str:
    here = "by this process" if processes.count > 1 else "now"
    return f"{total} stack{'s' * (total != 1)}, {made} of them made {here}"


def _make_all(
    options: argparse.Namespace,
    items: Iterable[Item],
    wanted: dict[str, object],
    on_bad: str,
    skipped: list[str],
) -> int:
    """Make the stacks of these items; return how many, and add a line for each that cannot be."""
    make: Make | None = None
    made = 0
    device = _own_device(options.device)
    for item in items:
        make = make or stack_maker(_with(options, device=device))
        try:
            _make_one(_with(options, device=device), item, wanted, make)
            made += 1
        except (ValueError, OSError) as error:
            text = str(error)
            name = item.where or item.photo.name
            line = text if text.startswith(name) else f"{name}: {text}"
            if on_bad == REFUSE:
                raise ValueError(line) from error
            skipped.append(f"skipped {line}")
    return made


def _own_device(device: str | torch.device) -> torch.device:
    """Return this process's device: each process of a machine takes the next GPU."""
    wanted = torch.device(device)
    if wanted.type == "cuda" and wanted.index is None:
        return torch.device("cuda", this_process().local_index)
    return wanted


def _make_one(
    options: argparse.Namespace, item: Item, wanted: dict[str, object], make: Make
) -> None:
    own = _with(options, image=item.photo, depth=item.depth, output=item.output)
    if item.depth_scale is not None:
        own.depth_scale = item.depth_scale
    photo = read_photo_for(own)
    image = convert_color(photo.image, photo.color_space, "sRGB")
    strengths: tuple[float, ...] = tuple(wanted["strengths"])  # type: ignore[arg-type]
    check_no_other_frames(item.output, strengths, photo.color_space)
    depth = None if item.depth is None else depth_of(own, item.depth, image[None])
    if depth is None and own.adapter == BUILT_IN:
        raise FileNotFoundError("no depth for it. Give one, or --adapter and --base-model.")
    stack = make(own, image, strengths, depth)
    item.output.mkdir(parents=True, exist_ok=True)
    with inputs_kept(one for one in (item.photo, item.depth) if one is not None):
        if depth is not None:
            _write_depth(item.output / DEPTH, depth)
        write_stack(own, stack, photo.color_space, {"command": wanted})


def _write_depth(path: Path, depth: DepthMap) -> None:
    """Write depth as trainers read it: key `depth`, 0 where nothing was measured."""
    values = depth.depth[0].float()
    if depth.confidence is not None:
        values = torch.where(depth.confidence[0] > 0, values, 0.0)
    with whole_file(path) as part:
        np.savez_compressed(part, depth=values.numpy(), metric=np.array(depth.metric))


def _items(options: argparse.Namespace, on_bad: str, skipped: list[str]) -> list[Item]:
    if options.image.is_dir():
        if options.outside_files:
            raise ValueError("outside_files: is for a manifest, and this is a folder.")
        return folder_items(options, on_bad, skipped)
    if options.depth is not None:
        raise ValueError("depth: a manifest names its depth files. Leave --depth out.")
    entries = read_manifest(
        options.image, on_bad=on_bad, outside=options.outside_files, report=skipped.append
    )
    items = []
    for entry in entries:
        number = int(entry.where.rpartition(":")[2])
        folder = options.output / f"{number:06d}_{entry.reference.stem}"
        items.append(Item(entry.reference, folder, entry.depth, entry.depth_scale, entry.where))
    return items


def folder_items(options: argparse.Namespace, on_bad: str, skipped: list[str]) -> list[Item]:
    """Return the photos of a folder, each with its depth where there is a folder of depth files.

    Args:
        options: with `image` and `depth`, folders; `output`; and `adapter`.
        on_bad: "refuse" stops at a photo that cannot be used, "skip" goes on.
        skipped: gets a line for each of these.

    Raises:
        ValueError: no usable photo, or a bad one.
    """
    if options.depth is not None and not options.depth.is_dir():
        raise ValueError(
            f"depth: {options.depth} is no folder. For a folder of photos give a folder of depth "
            "files of the same names."
        )
    same = options.depth is not None and options.depth.resolve() == options.image.resolve()
    photos = sorted(one for one in options.image.iterdir() if one.suffix.lower() in _PHOTOS)
    photos = [one for one in photos if one.is_file() and not one.name.startswith(".")]
    found: dict[str, list[Path]] = {}
    for one in sorted(options.depth.iterdir()) if options.depth is not None else ():
        if not (same and one.suffix.lower() in _PHOTOS):
            found.setdefault(one.stem, []).append(one)
    named: dict[str, list[str]] = {}
    for photo in photos:
        named.setdefault(photo.stem, []).append(photo.name)
    items = []
    for photo in photos:
        depths = found.get(photo.stem, [])
        problem = _problem(options, photo, named[photo.stem], depths)
        if problem and on_bad == REFUSE:
            raise ValueError(problem)
        if problem:
            skipped.append(f"skipped {problem}")
        else:
            depth = depths[0] if depths else None
            items.append(Item(photo, options.output / photo.stem, depth))
    if not items:
        raise ValueError(f"image: no usable photo in {options.image}. Give another folder.")
    return items


def _problem(options: argparse.Namespace, photo: Path, twins: list[str], depths: list[Path]) -> str:
    """Return why a photo of a folder cannot be used, or an empty text."""
    if len(twins) > 1:
        return f"{photo.name}: {_both(twins)} have one name. Rename one of them."
    if len(depths) > 1:
        names = _both([one.name for one in depths])
        return f"{photo.name}: {names} may both be its depth. Leave one there."
    if not depths and (options.adapter == BUILT_IN or options.depth is not None):
        where = options.depth or "--depth, which was not given"
        return f"{photo.name}: no depth file {photo.stem}.* in {where}. Add it."
    return ""


def _both(names: list[str]) -> str:
    return " and ".join(names) if len(names) == 2 else shown(names)


def _settings(options: argparse.Namespace, strengths: tuple[float, ...]) -> dict[str, object]:
    """Return what decides how stacks look, as it is written beside them."""
    chosen = {name: getattr(options, name) for name in _SETTINGS}
    chosen["seed"] = options.seed or 0
    more = ("steps", "guidance", "fast", "alpha", "lora_scale", "query_only")
    chosen |= {name: getattr(options, name) for name in more}
    chosen |= {"strengths": strengths, "aperture": vars(aperture_of(options))}
    written: dict[str, object] = json.loads(json.dumps(chosen, default=str))
    return written


def _is_made(item: Item, wanted: dict[str, object]) -> bool:
    """Tell whether an item's stack is there.

    Raises:
        ValueError: it is, and was made of another photo or with other options.
    """
    record = _record(item)
    if record is None:
        return False
    found = record.get("command")
    found = found if isinstance(found, dict) else {}
    other = [name for name, value in wanted.items() if found.get(name) != value]
    if record.get("image") != item.photo.name:
        other.append("image")
    if other:
        raise ValueError(
            f"output: {item.output} holds a stack made with another {other[0]}. Give another "
            "folder, or remove that one."
        )
    return True


def _record(item: Item) -> dict[str, object] | None:
    path = item.output / RECORD
    if not path.is_file():
        return None
    found = None
    if path.stat().st_size <= _LARGEST_RECORD:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, dict):
        raise _damaged(path)
    return found


def _damaged(path: Path) -> ValueError:
    return ValueError(f"output: {path} is damaged. Remove its folder.")


def _entry(item: Item) -> Entry:
    """Return an item's line of the manifest.

    Raises:
        ValueError: the record of its stack says too little.
    """
    record = _record(item) or {}
    depth = item.output / DEPTH
    try:
        frames: list[dict[str, object]] = record["frames"]  # type: ignore[assignment]
        settings: dict[str, object] = record["settings"]  # type: ignore[assignment]
        focus = settings.get("focus_depth")
        return Entry(
            item.output / str(record["reference"]),
            depth if depth.is_file() else None,
            tuple(item.output / str(one["file"]) for one in frames),
            tuple(float(str(one["strength"])) for one in frames),
            float(str(focus)) if focus is not None else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(item.output / RECORD) from error


def _with(options: argparse.Namespace, **changes: object) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), **changes})
