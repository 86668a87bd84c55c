"""Hostile folders: frames of clips, photos for `stack FOLDER`, and typed lists of many values."""

import io
import json
from pathlib import PurePosixPath

import numpy as np
from hostile_case import EITHER, REFUSED, VALUE, Case, png
from PIL import Image

_SIZE = (32, 24)  # px, width and height
_RENDER = "render FILE/frames FILE/depths --strength 2 --quality draft -o OUT"
_STACK = "stack FILE/photos --depth FILE/depths --strengths 2,4 --quality draft -o OUT"


def _picture(level=128, size=_SIZE, mode="RGB", kind="PNG"):
    """Return the bytes of a picture of one grey, level 0…255."""
    made = Image.new("L", size, level).convert(mode)
    out = io.BytesIO()
    made.save(out, kind)
    return out.getvalue()


def _depth(value=2.0, size=_SIZE, **more):
    out = io.BytesIO()
    np.savez(out, depth=np.full(size[::-1], value, np.float32), **more)
    return out.getvalue()


_GOOD = _picture()
_BAD = {"text": b"no picture\n", "nothing": b"", "cut": _GOOD[: len(_GOOD) // 2]}
_HUGE = png(60_000, 60_000, 8, 2)  # 10 GB, says its head


def _in_order(*levels):
    """Return a check of a clip's frames by their greys, 0…255."""

    def check(frames):
        assert [round(255 * float(one.mean())) for one in frames] == list(levels)

    return check


def _count(count):
    def check(frames):
        assert len(frames) == count, len(frames)

    return check


def _clip(what, inside, wanted=VALUE, check=None, named=""):
    return Case(what, "clip", b"", "clip", wanted, check=check, inside=inside, named=named)


def _clips():
    numbered = {f"{at}.png": _picture(10 * at) for at in (1, 2, 10, 11)}
    modes = ("L", "RGB", "RGBA", "P", "1", "LA")
    kinds = {"a.png": "PNG", "b.jpg": "JPEG", "c.bmp": "BMP", "d.webp": "WEBP", "e.tif": "TIFF"}
    turned = _picture(size=_SIZE[::-1])
    cases = [
        _clip("nothing but hidden files", {".DS_Store": b"x", "._1.png": _GOOD}, REFUSED),
        _clip("nothing but folders", {"a": None, "b": None}, REFUSED),
        _clip("one frame", {"1.png": _GOOD}, check=_count(1)),
        _clip("numbers without zeros", numbered, check=_in_order(10, 20, 100, 110)),
        _clip(
            "numbers with and without zeros",
            {"01.png": _picture(10), "2.png": _picture(20), "003.png": _picture(30)},
            check=_in_order(10, 20, 30),
        ),
        _clip(
            "gaps in the numbers",
            {f"f{at}.png": _picture(at) for at in (3, 90, 7000)},
            check=_count(3),
        ),
        _clip("a number of 200 digits", {"9" * 200 + ".png": _GOOD, "1.png": _GOOD}),
        _clip(
            "digits of other scripts",
            {"\u0661.png": _GOOD, "\u00b2\u0663.png": _GOOD},
            check=_count(2),
        ),
        _clip("two cases of one name", {"1.png": _GOOD, "1.PNG": _GOOD}, EITHER),
        _clip(
            "several kinds of files",
            {name: _picture(kind=kind) for name, kind in kinds.items()},
            check=_count(5),
        ),
        _clip(
            "several modes",
            {f"{at}.png": _picture(mode=mode) for at, mode in enumerate(modes)},
            check=_count(6),
        ),
        _clip("several sizes", {"1.png": _GOOD, "2.png": turned}, REFUSED),
        _clip("a last frame of 1 px", {"1.png": _GOOD, "2.png": _picture(size=(1, 1))}, REFUSED),
        _clip("a folder among frames", {"1.png": _GOOD, "2.png": None}, check=_count(1)),
        _clip("frames in a folder below", {"a/1.png": _GOOD}, REFUSED),
        _clip(
            "a link to a frame",
            {"1.png": _GOOD, "2.png": PurePosixPath("1.png")},
            check=_count(2),
        ),
        _clip("a link to itself", {"1.png": _GOOD, "2.png": PurePosixPath("2.png")}, REFUSED),
        _clip(
            "a link to nothing",
            {"1.png": _GOOD, "2.png": PurePosixPath("gone.png")},
            REFUSED,
            named="2.png",
        ),
        _clip(
            "a link to another file of this machine",
            {"1.png": _GOOD, "2.png": PurePosixPath("/etc/passwd")},
            REFUSED,
            named="2.png",
        ),
        _clip(
            "a link without an end",
            {"1.png": _GOOD, "2.png": PurePosixPath("/dev/zero")},
            check=_count(1),
        ),
        _clip("a huge first frame", {"1.png": _HUGE, "2.png": _GOOD}, REFUSED, named="1.png"),
        _clip("a huge frame amid small", {"1.png": _GOOD, "2.png": _HUGE}, REFUSED, named="2.png"),
        _clip("a note amid frames", {"1.png": _GOOD, "Thumbs.db": b"x"}, REFUSED, named="Thumbs"),
        _clip("frames of one pixel", {f"{at}.png": _picture(size=(1, 1)) for at in range(9)}),
        _clip(
            "a thousand frames",
            {f"{at}.png": _picture(size=(2, 2), kind="BMP") for at in range(1000)},
            check=_count(1000),
        ),
    ]
    cases += [
        _clip(f"a frame that is {what}", {"1.png": _GOOD, "2.png": bad}, REFUSED, named="2.png")
        for what, bad in _BAD.items()
    ]
    return cases + _odd_names()


def _odd_names():
    """Return frames whose names mean something elsewhere, good and damaged."""
    names = {
        "a format": "white%d.png",
        "a pattern": "[0-9]*.png",
        "a protocol": "concat:1|2.png",
        "an option": "-rf.png",
        "markup": "<img src=x onerror=alert(1)>.png",
        "spaces": "  .png",
        "an emoji": "\U0001f600.png",
        "several lines": "a\nb.png",
        "a bell": "a\ab.png",
        "no Unicode": "a\udcff.png",
        "220 letters": "a" * 216 + ".png",
        "a reserved word": "con.png",
        "right to left": "\u202egnp.a.png",
    }
    found = []
    for what, name in names.items():
        found.append(_clip(f"a name that is {what}", {name: _GOOD}, check=_count(1)))
        line = _RENDER.replace("FILE/depths", "DEPTH")
        for kind, bad in (("text", _BAD["text"]), ("huge", _HUGE)):
            inside = {f"frames/{name}": bad}
            case = f"a command with {kind} whose name is {what}"
            found.append(Case(case, "clip", b"", line, inside=inside, named="png"))
    return found


def _frames(count, **changes):
    """Return frames and depths of a clip for the command line, some of them changed."""
    inside = {f"frames/{at}.png": _picture(60 + 9 * at) for at in range(count)}
    inside |= {f"depths/{at}.npz": _depth(2.0 + at) for at in range(count)}
    return inside | changes.get("also", {})


def _rendered():
    def case(what, inside, wanted=REFUSED, named="", says=""):
        return Case(what, "clip", b"", _RENDER, wanted, says, inside=inside, named=named)

    several = {"depths/0.png": _picture(kind="PNG")}
    soft = _depth(2.0, (8, 6))
    cases = [
        case("a clip of one frame", _frames(1), VALUE),
        case("a depth smaller than its frame", _frames(2, also={"depths/1.npz": soft}), VALUE),
        case("a depth less", _frames(2, also={"frames/2.png": _GOOD}), named="depth"),
        case("a depth more", _frames(2, also={"depths/2.npz": _depth()}), named="depth"),
        case("no depths", {"frames/1.png": _GOOD, "depths": None}, named="depths"),
        case("no frames", {"frames": None, "depths/1.npz": _depth()}, named="frames"),
        case("kinds of depth", _frames(1, also=several), named="depth"),
        case("another size", _frames(2, also={"frames/1.png": _picture(size=(9, 9))}), named="fra"),
    ]
    bad = {
        "text": b"no depth",
        "nothing": b"",
        "no numbers": _depth(np.nan),
        "zeros": _depth(0.0),
        "huge": _HUGE,
        "of three axes": _npz(depth=np.ones((3, 4, 5), np.float32)),
        "words": _npz(depth=np.array(["a"])),
        "of odd metric": _depth(metric="yes"),
    }
    cases += [
        case(f"a last depth that is {what}", _frames(2, also={"depths/1.npz": one}), named="1.npz")
        for what, one in bad.items()
    ]
    return cases


def _npz(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def _stacked():
    good = {"photos/a.png": _GOOD, "depths/a.npz": _depth()}

    def case(what, inside, wanted=REFUSED, named="", line=_STACK):
        return Case(what, "in", b"", line, wanted, inside=inside, named=named)

    link = PurePosixPath("/etc/passwd")
    cases = [
        case("one photo for stacks", good, VALUE),
        case("no photo for stacks", {"photos": None, "depths": None}, named="photos"),
        case("no depth for stacks", {"photos/a.png": _GOOD, "depths": None}, named="a.png"),
        case("two depths for a photo", good | {"depths/a.npy": b"x"}, named="a.png"),
        case("two photos of a name", good | {"photos/a.jpg": _picture(kind="JPEG")}, named="a."),
        case("a link as depth", {"photos/a.png": _GOOD, "depths/a.npz": link}, named="a."),
        case("a huge photo for stacks", {"photos/a.png": _HUGE, **_only_depth()}, named="a.png"),
        case("no photo that can be used", {"photos/a.png": b"x", **_only_depth()}, named="a.png"),
        case(
            "bad photos skipped",
            good | {"photos/b.png": b"x", "depths/b.npz": _depth()},
            VALUE,
            line=f"{_STACK} --on-bad skip",
        ),
        case("a manifest of folders", good, line="stack FILE --depth FILE --strengths 2 -o OUT"),
    ]
    line = "stack FILE/m.jsonl --strengths 2 --quality draft -o OUT"
    record = {"ref": "photos/a.png", "depth": "depths/a.npz"}
    cases.append(case("a manifest for stacks", _listed(good, record), VALUE, line=line))
    for name in ("/etc/passwd", "../../x.png", "photos", "gone.png", "photos/a\n.png", "a" * 5000):
        for field in record:
            wrong = _listed(good, record | {field: name})
            what = f"a manifest for stacks whose {field} is {name[:20]!r}"
            cases.append(case(what, wrong, named="m.jsonl", line=line))
    for name, value in (("k", [1e300]), ("depth_scale", 0), ("depth_scale", "1e999")):
        wrong = _listed(good, record | {name: value})
        cases.append(case(f"a manifest's {name} {value}", wrong, EITHER, "m.jsonl", line))
    return cases


def _only_depth():
    return {"depths/a.npz": _depth()}


def _listed(inside, record):
    return inside | {"m.jsonl": json.dumps(record).encode()}


def _cameras():
    """Return depth as PNG whose text holds a camera matrix of three rows, as JSON."""
    texts = {
        "no JSON": "[[1, 0",
        "a number": "5",
        "text": '"abc"',
        "two rows": "[[1, 0, 0], [0, 1, 0]]",
        "words": '[["a", 0, 0], [0, 1, 0], [0, 0, 1]]',
        "nothing": "[[null, 0, 0], [0, 1, 0], [0, 0, 1]]",
        "no number": "[[NaN, 0, 0], [0, 1, 0], [0, 0, 1]]",
        "infinite": "[[Infinity, 0, 0], [0, 1, 0], [0, 0, 1]]",
        "huge": "[[1e999, 0, 0], [0, 1, 0], [0, 0, 1]]",
        "huge, whole": f"[[{'9' * 4000}, 0, 0], [0, 1, 0], [0, 0, 1]]",
        "zero": "[[0, 0, 0], [0, 0, 0], [0, 0, 1]]",
        "below zero": "[[-5, 0, 2], [0, -5, 2], [0, 0, 1]]",
        "turned over": "[[5, 0, 2], [0, 5, 2], [0, 1, 0]]",
        "ragged": "[[5, 0, 2], [0, 5], [0, 0, 1]]",
        "objects": '{"fx": 5}',
        "deep": "[" * 50_000,
    }
    rows = b"\0" + b"\x10\x20" * 9
    found = []
    for what, text in texts.items():
        chunk = b"tEXt", b"bokehdepth.intrinsics\0" + text.encode()
        content = png(9, 9, 16, 0, chunk, pixels=rows * 9)
        found.append(Case(f"a camera that is {what}", "depth.png", content, "depth"))
    good = b"tEXt", b"bokehdepth.intrinsics\0[[5, 0, 4], [0, 5, 4], [0, 0, 1]]"
    content = png(9, 9, 16, 0, good, pixels=rows * 9)
    return [*found, Case("a camera", "depth.png", content, "depth", VALUE)]


def _texts():
    """Return what may be typed as keyframes and as focus distances."""
    keyframes = {
        **{"nothing": "", "words": "ten", "a frame alone": "0:", "no frame": ": 1 m"},
        **{"a frame below 0": "-1: 1 m", "a huge frame": f"{'9' * 30}: 1 m", "half": "0.5: 1 m"},
        **{"no number": "0: nan m", "infinite": "0: 1e999 m", "below zero": "0: -1 m"},
        **{"a point outside": "0: 2,2", "a point of one": "0: 0.5", "many": "0: 0.1,0.2,0.3"},
        **{"twice": "0: 1 m; 0: 2 m", "markup": "0: <b>", "a null": "0: \0", "code": "0: os()"},
        **{"a million digits": f"0: {'9' * 1_000_000} m", "a megabyte": "0" * 1_000_000},
        **{"an unknown curve": "0: 1 m 3: 2 m bouncing", "a strength of 1e300": "0: 1 m K 1e300"},
        **{"a frame beyond any": "0: 1 m; 999999999999: 2 m", "other digits": "\u0663: \u0664 m"},
        **{"colons": ":" * 10_000, "brackets": "[" * 100_000, "equals": "0=1 m"},
    }
    distances = {
        **{"words": "ten", "zero": "0", "below zero": "-1", "no number": "nan", "one": "1,"},
        **{"markup": "<b>", "a megabyte": "1 " * 500_000, "a million digits": "9" * 1_000_000},
        **{"code": "__import__('os')", "a null": "1\0 2", "beyond numbers": "1e400"},
        **{"a half": "\u00bd", "other digits": "\u0663", "no width": "1\u200b2"},
    }
    found = [
        Case(f"{reader}, {what}", "a.txt", text.encode(), reader, EITHER)
        for reader, texts in (("keyframes", keyframes), ("distances", distances))
        for what, text in texts.items()
    ]
    right = Case("keyframes, two", "a.txt", b"0: 1 m; 24: 3 m", "keyframes", VALUE, check=_count(2))
    twice = Case("distances, decimal commas", "a.txt", b"1,5; 2,5", "distances")
    return [*found, right, twice]


def cases(deep=False):
    """Return all cases of folders and of lists."""
    return [*_clips(), *_rendered(), *_stacked(), *_cameras(), *_texts()]
