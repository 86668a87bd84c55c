"""The command line: parse, call the core, write files. Bad input gives one line and exit code 2."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from ..demo.photo import run_photo_demo
from ..demo.run import run_demo
from ..devices import is_out_of_memory
from ..files.atomic import inputs_kept
from .commands.depth import run_depth
from .commands.evaluate import add_evaluate_commands
from .commands.render import run_render
from .commands.stack import run_stack
from .commands.train import add_train_commands
from .commands.weights import add_weights_commands
from .options import OneLineParser, add_depth_options, add_render_options, add_stack_options
from .overwriting import check_outputs, inputs_of
from .progress import progress_bar

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130  # as a shell reports a program ended by ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for bad input, 130 when interrupted."""
    _bear_any_console()
    try:
        options = _parser().parse_args(arguments)
        check_outputs(options)
        with inputs_kept(inputs_of(options)):
            options.run(options)
    except (ValueError, TypeError, OSError) as error:
        line = " ".join(str(error).split())
        print(f"bokehdepth: {line}", file=sys.stderr)
        return BAD_INPUT
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        print(
            "bokehdepth: the device ran out of memory. Use a smaller picture, or --device cpu.",
            file=sys.stderr,
        )
        return FAILED
    except ModuleNotFoundError as error:
        extra = "train" if error.name == "accelerate" else "standalone"
        print(
            f"bokehdepth: the package {error.name!r} is missing. "
            f'Install with: python -m pip install -e ".[{extra}]"',
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        print("bokehdepth: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _bear_any_console() -> None:
    """Let text that the console's encoding lacks come out escaped, instead of ending the work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where a caller put something else
            stream.reconfigure(errors="backslashreplace")


def _demo(options: argparse.Namespace) -> None:
    with progress_bar("demo") as on_progress:
        if options.photo is None:
            lines = run_demo(options.output, on_progress=on_progress)
        else:
            lines = run_photo_demo(options.photo, options.output, on_progress=on_progress)
    print("\n".join(lines))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="bokehdepth",
        description="From a photo and its aperture stack to depth, and from depth to lens bokeh.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = commands.add_parser(
        "demo", help="whole pipeline on a bundled scene, or a photo; nothing to download"
    )
    what = "of people, or with depth in it; left out, a bundled scene with its aperture stack"
    demo.add_argument("photo", type=Path, nargs="?", help=what)
    demo.add_argument("--output", type=Path, default=Path("bokehdepth_demo"), metavar="DIR")
    demo.set_defaults(run=_demo)
    depth = commands.add_parser("depth", help="depth from a photo and its aperture stack")
    add_depth_options(depth)
    depth.set_defaults(run=run_depth)
    render = commands.add_parser("render", help="blur a photo by its depth through a lens")
    add_render_options(render)
    render.set_defaults(run=run_render)
    stack = commands.add_parser(
        "stack", help="make a bokeh stack: rendered from photo and depth, or by FLUX"
    )
    add_stack_options(stack)
    stack.set_defaults(run=run_stack)
    add_weights_commands(commands)
    add_evaluate_commands(commands)
    add_train_commands(commands)
    return parser
