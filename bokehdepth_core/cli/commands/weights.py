"""The commands `weights list`, `weights download` and `weights convert`."""

import argparse
from pathlib import Path

from ...depth.conversion import check_target, convert_checkpoint
from ...generator.adapter import is_adapter
from ...generator.conversion import convert_adapter
from ...weights.download import download_hub_file
from ...weights.published import (
    ADAPTER,
    DEPTH,
    PUBLISHED,
    find_weights,
    how_to_get,
    local_path,
    other_files,
    weights_folder,
)
from ...weights.reading import read_state_dict
from ..options import OneLineParser, add_retrained_adapter, add_retrained_depth
from ..progress import progress_bar

_ADAPTER_CHOICES = ("alpha", "lora_scale", "query_only", "base")
_DEPTH_CHOICES = ("max_depth", "attention_scale", "alibi", "heads", "stages")


def add_weights_commands(commands: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Add `weights` and its actions to the program's commands."""
    weights = commands.add_parser("weights", help="published weight files")
    actions = weights.add_subparsers(required=True, metavar="action")
    listing = actions.add_parser("list", help="their names, terms, and which are here")
    listing.add_argument("--folder", type=Path, help="where weight files lie")
    listing.set_defaults(run=_list)
    download = actions.add_parser("download", help="fetch one; goes on after a break")
    download.add_argument("name", help="a file that `list` names")
    download.add_argument("--folder", type=Path, help="where weight files lie")
    download.set_defaults(run=_download)
    convert = actions.add_parser(
        "convert", help="a depth checkpoint or bokeh adapter to safetensors"
    )
    convert.add_argument("source", help="a path, or a name of `list`")
    convert.add_argument("output", type=Path, nargs="?", help="default: beside it")
    convert.add_argument("--max-depth", type=float, help="range of a metric network, m")
    add_retrained_depth(convert)
    add_retrained_adapter(convert)
    convert.add_argument(
        "--base", help="transformer that an adapter was trained on, as FLUX.2-klein-4B"
    )
    convert.set_defaults(run=_convert)


def _list(options: argparse.Namespace) -> None:
    folder = options.folder or weights_folder()
    rows = [("file", "use", "from", "terms", "here")]
    for file in PUBLISHED:
        source = f"{file.repository}{' (gated)' if file.gated else ''}"
        here = "yes" if local_path(file, folder) else "no"
        rows.append((file.name, file.role, source, file.terms, here))
    for path in other_files(folder):
        rows.append((path.name, "own file", "", "", "yes"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print(f"\nFolder: {folder}")


def _download(options: argparse.Namespace) -> None:
    folder = options.folder or weights_folder()
    known = {file.name: file for file in PUBLISHED}
    file = known.get(options.name)
    if file is None:
        files = ", ".join(name for name, one in known.items() if not one.is_folder)
        raise ValueError(f"name: unknown file '{options.name}'. One of: {files}.")
    if file.is_folder:
        raise ValueError(
            f"name: {file.name} is a {'gated ' if file.gated else ''}folder of many files, which "
            f"this command does not fetch. {how_to_get(file, folder)}"
        )
    with progress_bar("download") as on_progress:
        path = download_hub_file(file.repository, file.name, folder, on_progress=on_progress)
    print(path)


def _convert(options: argparse.Namespace) -> None:
    source = _source(options.source)
    output = options.output or source.with_suffix(".safetensors")
    check_target(output)
    adapter = is_adapter(read_state_dict(source))
    _check_fitting(options, _DEPTH_CHOICES if adapter else _ADAPTER_CHOICES, adapter)
    names = _ADAPTER_CHOICES if adapter else _DEPTH_CHOICES
    convert = convert_adapter if adapter else convert_checkpoint
    kind = convert(source, output, **{name: getattr(options, name) for name in names})
    print(f"{output}: {kind}")


def _source(name: str) -> Path:
    """Return the path of a depth checkpoint or an adapter: a path, or a published name."""
    published = {file.name: file.role for file in PUBLISHED}
    return Path(find_weights(name, ADAPTER if published.get(name) == ADAPTER else DEPTH))


def _check_fitting(options: argparse.Namespace, others: tuple[str, ...], adapter: bool) -> None:
    """Refuse a choice that the file's kind does not have."""
    wrong = [name for name in others if getattr(options, name) is not None]
    if wrong:
        kind = "a bokeh adapter" if adapter else "a depth checkpoint"
        raise ValueError(
            f"{wrong[0]}: {kind} has no such choice. Leave --{wrong[0].replace('_', '-')} out."
        )
