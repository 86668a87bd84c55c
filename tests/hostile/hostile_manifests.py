"""Hostile manifests of samples, as training and evaluation read them."""

import json

from hostile_case import EITHER, VALUE, Case, mutations

# Beside each manifest lies `ok.png`, which the reader makes.
_GOOD = {"ref": "ok.png", "depth": "ok.png", "stack": ["ok.png"], "k": [10]}
_VALUES = {
    **{"null": None, "true": True, "a number": 7, "a huge number": 10**400, "a list": [1]},
    **{"a dictionary": {"a": 1}, "nothing": "", "not a number": float("nan")},
    **{"infinite": float("inf"), "below 0": -1, "markup": "<script>", "a null byte": "a\0b"},
    **{"the folder": ".", "outside": "../../etc/passwd", "absolute": "/etc/passwd"},
    **{"the net": "http://127.0.0.1:9/a.png", "a pipe": "|id", "long": "a" * 5000},
    **{"several lines": "a\nb\nc", "half a letter": "\ud800"},
}
_MAY_BE = {
    *(("depth", "null"), ("focus_depth", "null"), ("depth_scale", "null")),
    *(("focus_depth", "a number"), ("depth_scale", "a number"), ("k", "a list")),
}


def _line(record):
    return json.dumps(record).encode()


def _is(count):
    def check(entries):
        assert len(entries) == count, entries

    return check


def cases(deep=False):
    """Return all cases of manifests."""
    good = _line(_GOOD) + b"\n"
    found = [Case("one sample", "a.jsonl", good, "manifest", VALUE, check=_is(1))]
    for field in ("ref", "depth", "stack", "k", "focus_depth", "depth_scale"):
        for what, value in _VALUES.items():
            wanted = VALUE if (field, what) in _MAY_BE else "refused"
            content = _line(_GOOD | {field: value})
            found.append(Case(f"{field} is {what}", "a.jsonl", content, "manifest", wanted))
        for what, value in _VALUES.items():
            if field in ("stack", "k"):
                usual = field == "k" and what == "a number"
                content = _line(_GOOD | {field: [value]})
                wanted = VALUE if usual else "refused"
                found.append(Case(f"{field} holds {what}", "a.jsonl", content, "manifest", wanted))
    texts = {
        "nothing": b"",
        "empty lines": b"\n \n\n",
        "no JSON": b"ref: ok.png\n",
        "bytes": bytes(range(256)),
        "brackets": b"[" * 1_000_000,
        "brackets in a field": b'{"ref": ' + b"[" * 100_000,
        "a line of 20 MB": b'{"ref": "' + b"a" * 20_000_000,
        "a number of 1 MB": b'{"ref": "ok.png", "focus_depth": ' + b"9" * 1_000_000 + b"}",
        "a list": b'["ok.png"]',
        "text": b'"ok.png"',
        "half a line": good[: len(good) // 2],
        "no photo": b"{}",
        "two strengths for one frame": _line(_GOOD | {"k": [1, 2]}),
        "a thousand frames": _line(_GOOD | {"stack": ["ok.png"] * 1000, "k": [1] * 1000}),
        "a missing file": _line(_GOOD | {"ref": "none.png"}),
        "UTF-16": good.decode().encode("utf-16"),
    }
    found += [Case(what, "a.jsonl", content, "manifest") for what, content in texts.items()]
    found += [
        Case("a mark of the encoding", "a.jsonl", b"\xef\xbb\xbf" + good, "manifest", VALUE),
        Case("10 000 samples", "a.jsonl", good * 10_000, "manifest", VALUE, check=_is(10_000)),
        Case("unknown fields", "a.jsonl", _line(_GOOD | {"x": 1}), "manifest", EITHER),
        Case("an odd name", "a %d [b]:c.jsonl", good, "manifest", VALUE, check=_is(1)),
    ]
    return found + mutations("manifest", "a.jsonl", good, "manifest", tail=EITHER, deep=deep)
