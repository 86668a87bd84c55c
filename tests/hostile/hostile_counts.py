"""Hostile numbers of names, and of copies: files that list 300 000 of them.

With `--deep` it is very many.
"""

import io
import json
import pickle
import struct
import tempfile
import warnings
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from hostile_case import EITHER, VALUE, Case, png, png_chunk, tiff_of
from hostile_weights import repacked, saved, tar_of

_MAP = np.tile(np.arange(1, 9, dtype=np.float32), (6, 1))
_FEW, _MOST = 300_000, 1_000_000


@cache
def _npy(values=None):
    packed = io.BytesIO()
    np.save(packed, _MAP if values is None else np.ones(values, np.float32))
    return packed.getvalue()


def _npz(names, shape=(2, 2)):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(f"{name}.npy", _npy(None if name == "depth" else shape))
    return packed.getvalue()


def _zip_of(count, name, content):
    """Return an archive of one entry, whose table of contents lists it `count` times more."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("depth.npy", content)
    data = packed.getvalue()
    at, end = data.find(b"PK\1\2"), data.find(b"PK\5\6")
    entry = data[at : at + 46]
    names = ((name % index).encode() for index in range(count))
    table = data[at:end] + b"".join(
        entry[:28] + struct.pack("<H", len(one)) + entry[30:] + one for one in names
    )
    # The numbers are those of ZIP64: the plain ones end at 65535 entries.
    numbers = struct.pack(
        "<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count + 1, count + 1, len(table), at
    )
    place = struct.pack("<4sIQI", b"PK\6\7", 0, at + len(table), 1)
    closing = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    return data[:at] + table + numbers + place + closing


def _archives(most):
    long = "a%d" + "x" * 60_000 + ".npy"
    odd = {"two lines": ("a\nb", "c\nd"), "long": ("a" * 3000, "c" * 3000), "bell": ("\a", "\b")}
    found = {
        "9000 arrays": _npz(f"a{at}" for at in range(9000)),
        "20 001 arrays": _npz(["depth", *(f"a{at}" for at in range(20_000))]),
        "very many entries": _zip_of(most, "a%d.npy", _npy()),
        "a hundred long names": _zip_of(100, long, _npy()),
        **{f"names that are {what}": _npz(names) for what, names in odd.items()},
        **{f"axes, names that are {what}": _npz(one, (2, 2, 3)) for what, one in odd.items()},
    }
    cases = [Case(f"npz of {what}", "a.npz", one, "depth") for what, one in found.items()]
    cases += [
        Case(f"npz of one array that is {what}", "a.npz", _npz(names[:1]), "depth", VALUE)
        for what, names in odd.items()
    ]
    several = _npz(["depth", *(f"a{at}" for at in range(5000))])
    cases.append(Case("npz of 5000 arrays and depth", "a.npz", several, "depth", VALUE))
    foreign = _zip_of(most, "archive/data/%d", b"x")
    return [*cases, Case("pth of very many entries", "a.pth", foreign, "weights")]


def _copies(most):
    """Return pickles that name one large thing in many calls, or nested tuples as a key."""
    text = b"X" + struct.pack("<I", 1_000_000) + b"a" * 1_000_000
    ones = b"](" + b"K\1" * 200_000 + b"e"
    pairs = (
        b"](" + b"".join(b"J" + struct.pack("<i", at) + b"K\1\x86" for at in range(50_000)) + b"e"
    )
    nested = b")q\0" + b"h\0h\0\x86q\0" * 60
    found = {
        "encoded": b"c_codecs\nencode\nq\0" + text + b"X\6\0\0\0latin1\x86q\1R" + b"h\0h\1R" * 500,
        "counted": b"ccollections\nCounter\nq\0" + text + b"\x85q\1R" + b"h\0h\1R" * 100,
        "a size": b"ctorch\nSize\nq\0" + ones + b"\x85q\1R" + b"h\0h\1R" * 300,
        "a new size": b"ctorch\nSize\nq\0" + ones + b"\x85q\1\x81" + b"h\0h\1\x81" * 300,
        "ordered": b"ccollections\nOrderedDict\nq\0" + pairs + b"\x85q\1R" + b"h\0h\1R" * 200,
        "a key": b"}" + nested + b"K\1s",
        "keys": b"}(" + nested + b"K\1u",
        "bytes": b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R",
        "tuples": nested + b"h\0h\0\x86q\0" * 200_000,
    }
    base = saved({"a": torch.ones(4)})
    old = saved({"a": torch.ones(4)}, _use_new_zipfile_serialization=False)
    head = io.BytesIO(old)
    for _ in range(3):  # the pickles before that of the weights
        pickle.load(head)
    cases = []
    for what, steps in found.items():
        code = b"\x80\2](" + steps + b"e."
        zipped = repacked(base, changes={"data.pkl": code}.items())
        cases.append(Case(f"copies: {what}", "a.pth", zipped, "weights"))
        plain = old[: head.tell()] + code + pickle.dumps([], 2)
        cases.append(Case(f"copies of old: {what}", "a.pth", plain, "weights"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of kinds that torch gives up
        cases += _odd_tensors()
    four = saved({"a": torch.ones(4)}, pickle_protocol=4)
    return [*cases, Case("protocol 4", "a.pth", four, "weights", EITHER)]


def _odd_tensors():
    kinds = {
        "quantized": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8),
        "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    }
    return [
        Case(f"a {what} tensor", "a.pth", saved({"a": value}), "weights")
        for what, value in kinds.items()
    ]


def _safetensors(count, notes=0):
    entries = [f'"layer{at}":{{"dtype":"U8","shape":[1],"data_offsets":[{at},{at + 1}]}}'
               for at in range(count)]  # fmt: skip
    noted = ",".join(f'"k{at}":"a note of a few words"' for at in range(notes))
    text = "{" + ",".join([f'"__metadata__":{{{noted}}}', *entries]) + "}"
    return struct.pack("<Q", len(text)) + text.encode() + bytes(count)


def _weights(most):
    one = torch.ones(1)
    old = {f"a{at}": torch.ones(1) for at in range(21_000)}
    found = {
        "21 000 tensors.pth": saved({f"a{at}": one.clone() for at in range(21_000)}),
        "names of one.pth": saved({f"a{at}": one for at in range(most // 5)}),
        "numbers.pth": saved(dict.fromkeys(range(2 * most), 0)),
        "21 000 old.pth": saved(old, _use_new_zipfile_serialization=False),
        "old numbers.pth": saved(
            dict.fromkeys(range(2 * most), 0), _use_new_zipfile_serialization=False
        ),
        "many.safetensors": _safetensors(25_000),
        "very many.safetensors": _safetensors(most),
        "notes.safetensors": _safetensors(1, most),
        # torch before 2.6 unpacks it to disk, and reads its pickles without any check.
        "tar with the mark of a pickle.pth": tar_of(
            "\udc80\2storages", "storages", "tensors", "pickle"
        ),
    }
    cases = [Case(what, what, content, "weights") for what, content in found.items()]
    many, read = _safetensors(15_000), {"adapter": "refused", "network": "refused"}
    read["weights"] = VALUE
    return [
        *cases,
        *(Case(f"15 000 for {one}", "a.safetensors", many, one, w) for one, w in read.items()),
    ]


def _exr(names, **head):
    import OpenEXR

    pixels = np.ones((2, 2), np.float32)
    known = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.exr"
        OpenEXR.File(known | head, dict.fromkeys(names, pixels)).write(str(path))
        return path.read_bytes()


def _exr_of(count):
    """Return an EXR whose list of channels is longer than OpenEXR writes in good time."""
    content = _exr(["Z"])
    start = content.index(b"channels\0chlist\0") + 16
    entry = content[start + 4 + 2 : start + 4 + 18]  # behind the name Z
    listed = b"".join(b"c%d\0" % at + entry for at in range(count)) + b"\0"
    size = struct.unpack_from("<i", content, start)[0]
    return content[:start] + struct.pack("<i", len(listed)) + listed + content[start + 4 + size :]


def _exrs(most):
    spread = "depth.x%d", "depth%d.Z", "l%d.R", "c%d"
    odd = {"long": "c%d" + "x" * 200, "two lines": "c\n%d"}
    count = 2000 if most == _MOST else 1000
    found = {name: _exr(name % at for at in range(count)) for name in spread}
    cases = [
        Case(f"exr of channels {name} as {kind}", "a.exr", content, kind, EITHER)
        for name, content in found.items()
        for kind in ("depth", "picture")
    ]
    cases += [
        Case(
            f"exr as {kind}, names that are {what}",
            "a.exr",
            _exr(name % at for at in range(40)),
            kind,
        )
        for what, name in odd.items()
        for kind in ("depth", "picture")
    ]
    named = _exr(["depth\n1.Z", "depth\n2.Z"])
    attributes = {f"a{at}": "b" for at in range(9000)}
    return [
        *cases,
        Case("exr, two depths of two lines", "a.exr", named, "depth", VALUE),
        Case("exr of 3000 channels", "a.exr", _exr_of(3000), "depth"),
        Case("exr of very many channels", "a.exr", _exr_of(most), "depth"),
        Case("exr of 20 000 attributes", "a.exr", _exr(["Z"], **attributes), "depth", VALUE),
    ]


def _pictures(most):
    plain = png(2, 2, 8, 2, pixels=bytes(14))
    deep = png(2, 2, 16, 2, pixels=bytes(26))
    empty = png_chunk(b"abCd", b"") * most
    sizes = [(256, 4, [4]), (257, 4, [4]), (258, 3, [8]), (259, 3, [1]), (262, 3, [1])]
    sizes += [(277, 3, [1]), (278, 4, [1])]
    strips = [(273, 4, [8] * most), (279, 4, [4] * most)]
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    gif = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff"
    found = {
        "png of 60 000 chunks": plain[:33] + empty[: 12 * 60_000] + plain[33:],
        "png of very many chunks": plain[:33] + empty + plain[33:],
        "png with very many behind": plain[:-12] + empty + plain[-12:],
        "png of 16 bits and very many chunks": deep[:33] + empty + deep[33:],
        "png of very many pieces": plain[:33] + png_chunk(b"IDAT", b"") * most + plain[33:],
        "tiff of very many strips": tiff_of([*sizes, *strips], bytes(range(16))),
        "gif of very many frames": gif + frame * most + b";",
        "gif of very many notes": gif + b"\x21\xfe\1a\0" * most + frame + b";",
    }
    return [
        Case(f"{what} as {kind}", f"a.{what.split()[0]}", content, kind, EITHER)
        for what, content in found.items()
        for kind in ("picture", "depth")
    ]


def _texts(most):
    line = json.dumps({"ref": "ok.png", "depth": "ok.png", "k": []}).encode() + b"\n"
    keys = json.dumps({f"k{at}": 0 for at in range(60_000)} | {"ref": "ok.png"}).encode()
    return [
        Case("manifest of 20 000 lines", "a.jsonl", line * 20_000, "manifest", VALUE),
        Case("manifest of empty lines", "a.jsonl", b"\n" * most + line, "manifest", VALUE),
        Case("manifest of 60 000 keys", "a.jsonl", keys, "manifest", VALUE),
    ]


def cases(deep=False):
    """Return all cases of many names."""
    most = _MOST if deep else _FEW
    kinds = (_archives, _weights, _copies, _exrs, _pictures, _texts)
    return [case for kind in kinds for case in kind(most)]
