"""Read hostile files of one kind, one after the other, and print what came of each as JSON lines.

    python hostile_child.py pictures [--deep]

Each file lies alone in a folder. Time is that of the processor, memory the growth of the process's
peak, which Linux alone can reset. An audit hook notes what a file must not cause: a process, a
connection, or a file written.
"""

import contextlib
import importlib
import io
import json
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = map(str, (TESTS.parent, TESTS, Path(__file__).parent, *TESTS.glob("helpers/*/")))
MOST_ADDRESSES = 12 << 30  # bytes of address space, a guard for the machine that runs the tests
LONGEST = 20  # s of the processor, after which the process is ended
OUTPUTS = ("", ".png", ".exr", ".npz", ".mp4", ".safetensors")
PLAIN = ("ValueError", "FileNotFoundError", "TypeError")  # the errors that are said in one line
_FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.startfile")
_FORBIDDEN += ("os.fork", "os.forkpty", "socket.connect", "socket.getaddrinfo")
_BESIDE = {"manifest": "ok.png"}  # an empty file that the hostile one may name
_EVENTS = []
_WATCHING = [False]


def _picture(path):
    import torch

    from bokehdepth_core import read_image

    found = read_image(path)
    assert found.ndim == 3, found.shape
    assert found.shape[2] == 3, found.shape
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all(), "pixels that are no numbers"
    return found


def _depth(path):
    from bokehdepth_core import read_depth_file
    from bokehdepth_core.checks import check_depth

    found = read_depth_file(path)
    check_depth(found.depth.depth)
    assert all(line == " ".join(line.split()) for line in found.report), found.report
    return found


def _weights(path):
    from bokehdepth_core.weights.reading import read_state_dict

    return read_state_dict(path)


def _adapter(path):
    from bokehdepth_core.generator.adapter import load_adapter

    return load_adapter(path)


def _network(path):
    from bokehdepth_core import load_depth_estimator

    return load_depth_estimator(path)


def _config(path):
    from bokehdepth_core.weights.reading import read_config

    return read_config(path.parent)


def _strengths(path):
    from bokehdepth_core import parse_strengths

    return parse_strengths(path.read_bytes().decode())


def _clip(path):
    from bokehdepth_core.files.clip_reading import open_clip

    return [photo.image for photo in open_clip(path).frames()]


def _manifest(path):
    from bokehdepth_core.training.manifest import read_manifest

    return read_manifest(path)


def _keyframes(path):
    from bokehdepth_core.optics.focus.keyframes import parse_keyframes

    return parse_keyframes(path.read_bytes().decode())


def _distances(path):
    from bokehdepth_core.depth.focus_stacks import parse_focus_distances

    return parse_focus_distances(path.read_bytes().decode())


def _placed(word, places):
    """Return a word of a command line, with the path that it, or its beginning, stands for."""
    name, slash, rest = word.partition("/")
    return f"{places[name]}{slash}{rest}" if name in places else word


def _run_line(line, path):
    """Run a command line, and raise what it says where it refuses."""
    from bokehdepth_core.cli import main

    assets = TESTS.parent / "bokehdepth_core" / "demo" / "assets"
    places = {"FILE": path, "PHOTO": assets / "photo.png", "DEPTH": assets / "depth.npz"}
    places |= {f"OUT{end}": path.parent / f"out{end}" for end in OUTPUTS}
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = main([_placed(word, places) for word in line.split()])
    notes, mark, refusal = said.getvalue().rpartition("bokehdepth: ")
    assert "Traceback" not in notes
    if code == 2 and mark:  # notes on good files may come before
        raise ValueError(refusal.removesuffix("\n"))
    assert code == 0, f"exit code {code}: {said.getvalue()[-300:]}"


READERS = {
    "clip": _clip,
    "manifest": _manifest,
    "picture": _picture,
    "depth": _depth,
    "weights": _weights,
    "adapter": _adapter,
    "network": _network,
    "config": _config,
    "strengths": _strengths,
    "keyframes": _keyframes,
    "distances": _distances,
}


def _audit(event, arguments):
    if not _WATCHING[0]:
        return
    if event in _FORBIDDEN:
        _EVENTS.append(event)
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+"):
        _EVENTS.append(f"writes {arguments[0]}")


def _reset_peak():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _peak()


def _peak():
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _limit():
    try:
        import resource
        import signal
    except ImportError:  # Windows: the limit on time of the test command ends it
        return None
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    return lambda seconds: signal.setitimer(signal.ITIMER_PROF, seconds)


def _write(case, path):
    """Write the file, or the folder, of a case."""
    if not case.inside:
        path.write_bytes(case.content)
        return
    path.mkdir()
    for name, content in case.inside.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            place.mkdir(exist_ok=True)
        elif isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.symlink_to(content)


def read(case, folder):
    """Read a case's file in a folder and return what came of it."""
    path = folder / case.file
    try:
        _write(case, path)
    except (OSError, UnicodeError):
        return {"outcome": "skipped", "text": "this system allows no such name"}
    beside = _BESIDE.get(case.reader)
    if beside is not None:
        (folder / beside).write_bytes(b"")
    before, begin = _reset_peak(), time.process_time()
    _EVENTS.clear()
    _WATCHING[0] = True
    try:
        found = READERS.get(case.reader, partial(_run_line, case.reader))(path)
        outcome, text = "value", ""
    except BaseException as error:  # noqa: BLE001 - all of them are looked at
        kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ in PLAIN]
        outcome, text = (kinds or [type(error).__name__])[0], str(error)
        found = None
    _WATCHING[0] = False
    seconds = time.process_time() - begin
    grown = None if before is None else _peak() - before
    if outcome == "value" and case.check is not None:
        try:
            case.check(found)
        except AssertionError as error:
            outcome, text = "wrong value", str(error)
    there = {path, folder / (beside or "."), *(path / name for name in case.inside)}
    made = folder / "out"  # of a command that was to make a folder, and did
    left = sorted(
        ascii(one.name)
        for one in folder.rglob("*")
        if one.is_file() and one not in there and not (outcome == "value" and made in one.parents)
    )
    # A command that works on a folder may begin to write beside it; what stays is looked at.
    own = f"writes {folder}" if case.inside else None
    events = [event for event in _EVENTS if own is None or not event.startswith(own)]
    return {
        "outcome": outcome,
        "text": text,
        "seconds": seconds,
        "grown": grown,
        "events": [*events, *(f"left {name}" for name in left)],
    }


def _say(facts):
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main(kind, deep):
    """Read all cases of a kind."""
    import logging

    import torch

    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error")  # a warning on the terminal is a second line
    alarm = _limit()
    every = importlib.import_module(f"hostile_{kind}").cases(deep)
    good = [case for case in every if case.wanted == "value"]
    sys.addaudithook(_audit)
    with tempfile.TemporaryDirectory() as home:
        # Once for all that is imported and set up at the first use.
        for at, case in enumerate(good):
            (Path(home) / f"warm{at}").mkdir()
            read(case, Path(home) / f"warm{at}")
        for at, case in enumerate(every):
            folder = Path(home) / str(at)
            folder.mkdir()
            if alarm is not None:
                alarm(LONGEST)
            _say({"begins": case.what})
            _say({"what": case.what, **read(case, folder)})


if __name__ == "__main__":
    main(sys.argv[1], "--deep" in sys.argv)
