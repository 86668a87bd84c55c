"""Hostile weight files: pickles that run code, archives that lie, safetensors, adapters, texts."""

import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import torch
from hostile_case import EITHER, REFUSED, VALUE, Case, mutations
from safetensors.torch import load_file, save

_ADAPTER = Path(__file__).parents[1] / "data" / "golden" / "adapter_tiny.safetensors"


def saved(content, **options):
    packed = io.BytesIO()
    torch.save(content, packed, **options)
    return packed.getvalue()


def repacked(data, method=zipfile.ZIP_STORED, extra=(), changes=()):
    """Return an archive written again, with other contents of some entries and more entries."""
    packed, changes = io.BytesIO(), dict(changes)
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w", method) as new:
        for entry in old.infolist():
            short = entry.filename.split("/", 1)[-1]
            new.writestr(entry.filename, changes.get(short, old.read(entry)))
        for name, content in extra:
            new.writestr(name, content)
    return packed.getvalue()


def _flagged(data, place_in_directory, place_in_head, value):
    changed = bytearray(data)
    changed[changed.find(b"PK\x01\x02") + place_in_directory] = value
    changed[changed.find(b"PK\x03\x04") + place_in_head] = value
    return bytes(changed)


class _Calls:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _global(module, name, argument):
    """Return a pickle that calls a function by name; writing it runs nothing."""
    given = pickle.dumps(argument, 2)[2:-1]
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + given + b"\x85R."


def _codes():
    calls = {
        "os.system": ("os", "system", "touch ran"),
        "eval": ("builtins", "eval", "open('ran', 'w')"),
        "exec": ("builtins", "exec", "import os"),
        "open": ("builtins", "open", "ran"),
        "import": ("importlib", "import_module", "antigravity"),
        "popen": ("subprocess", "Popen", "touch ran"),
        "hub": ("torch.hub", "load", "a/b"),
        "load": ("torch", "load", "other.pth"),
        "from file": ("torch", "from_file", "/etc/passwd"),
        "attributes": ("operator", "attrgetter", "system"),
        "numpy load": ("numpy", "load", "other.npy"),
        "a path": ("pathlib", "Path", "/etc/passwd"),
        "scalar": ("numpy.core.multiarray", "scalar", "a"),
    }
    base = saved({"a": torch.ones(4)})
    found = []
    for what, call in calls.items():
        code = _global(*call)
        found.append(Case(f"pickle that calls {what}", "a.pth", code, "weights"))
        zipped = repacked(base, changes={"data.pkl": code}.items())
        found.append(Case(f"archive that calls {what}", "a.pt", zipped, "weights"))
    return found


def _pickles():
    nested = {}
    for _ in range(60):
        nested = {"state_dict": nested, "model": nested, "ema": nested}
    listed = []
    for _ in range(60):
        listed = [listed, listed]
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    wide = torch.ones(1).expand(10**12)
    itself = {}
    itself["state_dict"] = itself
    parts = {
        "nested.pth": saved(nested),
        "shared lists.pth": pickle.dumps(listed, 2),
        "deep.pth": deep,
        "empty.pth": b"",
        "one byte.pth": b"\x80",
        "protocol.pth": b"\x80\x02",
        "text.pth": b"hello, these are weights\n",
        "brackets.pth": b"[" * 1_000_000,
        "marks.pth": b"\x80\x02" + b"(" * 300_000,
        "huge text.pth": b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"a.",
        "huge number.pth": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"1.",
        "memory.pth": b"\x80\x02}r\xff\xff\xff\xff.",
        "itself.pth": saved(itself),
        "numbers.pth": saved({"a": 1, "b": 2}),
        "a list.pth": saved([torch.ones(2)]),
        "one tensor.pth": saved(torch.ones(2)),
        "nothing.pth": saved({}),
        "none.pth": saved(None),
        "wide.pth": saved({"a": wide}),
        "sparse.pth": saved({"a": torch.eye(3).to_sparse()}),
        "meta.pth": saved({"a": torch.ones(2, device="meta")}),
        "key of numbers.pth": saved({1: torch.ones(2)}),
        "key of lines.pth": saved({"a\nb": torch.ones(2)}),
        "long key.pth": saved({"a" * 100_000: torch.ones(2)}),
        "many keys.pth": saved({f"a{at}": 0 for at in range(30_000)}),
        "two of one.pth": saved({"a": torch.ones(2), "module.a": torch.ones(2)}),
        "a module.pth": saved(torch.nn.Linear(2, 2)),
        "old module.pth": saved(torch.nn.Linear(2, 2), _use_new_zipfile_serialization=False),
        "pointer.pth": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "page.pth": b"<!doctype html><title>Log in</title>",
        "gguf.pth": b"GGUF\3\0\0\0" + bytes(99),
        "hdf5.ckpt": b"\x89HDF\r\n\x1a\n" + bytes(99),
        "tar.pth": tar_of("../storages", "tensors", "pickle", "sys_info"),
        "a.zip": saved({"a": torch.ones(2)}),
        "a.gguf": b"GGUF\3\0\0\0" + bytes(99),
    }
    return [Case(what, what, content, "weights") for what, content in parts.items()]


def tar_of(*names):
    """Return weights as torch wrote them before 0.1.10, whose reader unpacks archives to disk."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"abcd"))
    return packed.getvalue()


def _archives():
    base = saved({"a": torch.ones(64), "b": torch.ones(64)})
    pkl = zipfile.ZipFile(io.BytesIO(base)).read("archive/data.pkl")
    huge = pkl.replace(b"K@", b"J\xff\xff\xff\x7f")
    negative = pkl.replace(b"K@", b"J\xff\xff\xff\xff")
    claims = bytearray(base)
    at = claims.find(b"PK\x01\x02", claims.find(b"PK\x01\x02") + 4)
    claims[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)
    code = ("archive/code/__torch__.py", b"import os\nos.system('touch ran')\n")
    parts = {
        "deflated.pth": (repacked(base, zipfile.ZIP_DEFLATED), REFUSED),
        "bzip2.pth": (repacked(base, zipfile.ZIP_BZIP2), REFUSED),
        "lzma.pth": (repacked(base, zipfile.ZIP_LZMA), REFUSED),
        "bomb.pth": (_bomb(base), REFUSED),
        "encrypted.pth": (_flagged(base, 8, 6, 1), REFUSED),
        "method 97.pth": (_flagged(base, 10, 8, 97), REFUSED),
        "claims.pth": (bytes(claims), REFUSED),
        "no pickle.pth": (repacked(base, changes={"data.pkl": b""}.items()), REFUSED),
        "huge storage.pth": (repacked(base, changes={"data.pkl": huge}.items()), REFUSED),
        "negative size.pth": (repacked(base, changes={"data.pkl": negative}.items()), REFUSED),
        "short storage.pth": (repacked(base, changes={"data/0": b"abc"}.items()), REFUSED),
        "no storage.pth": (repacked(base, changes={"data/0": b""}.items()), REFUSED),
        "up.pth": (repacked(base, extra=[("../../ran", b"x")]), EITHER),
        "absolute.pth": (repacked(base, extra=[("/ran", b"x")]), EITHER),
        "script.pth": (repacked(base, extra=[code, ("archive/constants.pkl", b"")]), REFUSED),
        "other order.pth": (repacked(base, changes={"byteorder": b"middle"}.items()), REFUSED),
        "another version.pth": (repacked(base, changes={"version": b"999\n"}.items()), EITHER),
        "comment.pth": (base[:-2] + b"\xff\xff" + b"c" * 65535, EITHER),
        "behind text.pth": (b"#!/bin/sh\n" + base, EITHER),
        "empty archive.pth": (b"PK\x05\x06" + bytes(18), REFUSED),
        "directory away.pth": (base[:-6] + b"\xff\xff\xff\x7f\0\0", EITHER),
    }
    found = [Case(what, what, content, "weights", want) for what, (content, want) in parts.items()]
    for name, good in {
        "zip.pth": base,
        "old.pth": saved({"a": torch.ones(64)}, _use_new_zipfile_serialization=False),
    }.items():
        found += mutations(name, name, good, "weights", tail=EITHER)
    return found


def _bomb(base):
    return repacked(base, zipfile.ZIP_DEFLATED, extra=[("archive/data/9", bytes(200 << 20))])


def _safetensors():
    def written(head, body=bytes(4), size=None):
        text = head if isinstance(head, bytes) else json.dumps(head).encode()
        return struct.pack("<Q", len(text) if size is None else size) + text + body

    def one(dtype="F32", shape=(1,), offsets=(0, 4)):
        return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}

    parts = {
        "empty.safetensors": b"",
        "short.safetensors": b"\1\0\0",
        "endless.safetensors": written({}, size=2**63),
        "longer.safetensors": written({}, size=10_000),
        "no json.safetensors": written(b"weights"),
        "deep.safetensors": written(b'{"a":' * 100_000),
        "list.safetensors": written([1]),
        "nothing.safetensors": written({}, b""),
        "huge shape.safetensors": written({"a": one(shape=(2**40, 2**40))}),
        "overflow.safetensors": written({"a": one(shape=(2**62,), offsets=(0, 2**62))}),
        "negative.safetensors": written({"a": one(shape=(-1,))}),
        "far.safetensors": written({"a": one(offsets=(100, 104))}),
        "backwards.safetensors": written({"a": one(offsets=(4, 0))}),
        "overlap.safetensors": written({"a": one(), "b": one()}),
        "hole.safetensors": written({"a": one(), "b": one(offsets=(8, 12))}, bytes(12)),
        "kind.safetensors": written({"a": one("F99")}),
        "metadata.safetensors": written({"__metadata__": {"a": 1}, "a": one()}),
        "metadata list.safetensors": written({"__metadata__": [], "a": one()}),
        "lines.safetensors": written({"a\nb": one()}),
        "long.safetensors": written({"a" * 10_000: one()}),
        "twice.safetensors": written(
            b'{"a":%s,"a":%s}' % (json.dumps(one()).encode(), json.dumps(one("I32")).encode()[:-1])
        ),
        "pickle.safetensors": saved({"a": torch.ones(2)}),
        "cut.safetensors": save({"a": torch.ones(64)})[:-9],
    }
    found = [Case(what, what, content, "weights") for what, content in parts.items()]
    good = save({"a": torch.ones(64)}, {"a": "b" * 500})
    return found + mutations("good safetensors", "a.safetensors", good, "weights", tail=REFUSED)


def _adapters():
    state = load_file(_ADAPTER)
    first = next(iter(state))
    names = list(state)
    value = next(key for key in names if "v_dof" in key)

    def made(tensors, metadata=None):
        return save({key: one.clone().contiguous() for key, one in tensors.items()}, metadata)

    numbers = ("nan", "inf", "-1", "0", "1e400", "one", "", "1,5", "9" * 5000)
    parts = {
        "int8": made({key: one.to(torch.int8) for key, one in state.items()}),
        "one int8": made({**state, first: state[first].to(torch.int8)}),
        "yes and no": made({**state, first: state[first] > 0}),
        "complex": made({**state, first: state[first].to(torch.complex64)}),
        "nan": made({**state, first: state[first] * torch.nan}),
        "infinite": made({**state, first: state[first] + torch.inf}),
        "missing": made({key: state[key] for key in names[1:]}),
        "unknown": made({**state, "adapter_modules.0.other.weight": torch.ones(1)}),
        "turned": made({**state, value: state[value].T}),
        "flat": made({**state, value: state[value].flatten()}),
        "empty": made({**state, value: state[value][:0]}),
        "number": made({**state, value: torch.tensor(1.0)}),
        "far layer": made({**state, value.replace("0", "9" * 30, 1): state[value]}),
        "layer 10^9": made({**state, value.replace("0", "1000000000", 1): state[value]}),
        "scale 8 bits": made({**state, f"{first}_scale": torch.tensor(torch.nan)}),
        "another network": made({"conv.weight": torch.ones(3, 3)}),
    }
    found = [
        Case(f"adapter: {what}", "a.safetensors", content, "adapter")
        for what, content in parts.items()
    ]
    for key in ("alpha", "lora_scale", "query_only"):
        for number in numbers:
            content = made(state, {key: number})
            # A factor may be 0 or negative; that of an alpha may not.
            want = EITHER if key == "lora_scale" else REFUSED
            what = f"adapter: {key} {number[:8]!r}"
            found.append(Case(what, "a.safetensors", content, "adapter", want))
    found.append(Case("adapter as it is", "a.safetensors", made(state), "adapter", VALUE))
    return found


def _networks():
    places = ("0", "9" * 30, "1000000000")
    backbone = {f"pretrained.blocks.{at}.norm1.weight": torch.ones(8) for at in places}
    parts = {
        "one key": {"pretrained.patch_embed.proj.weight": torch.ones(8, 3, 14, 14)},
        "far blocks": backbone,
        "patch of 0": {"pretrained.patch_embed.proj.weight": torch.ones(0, 3, 14, 14)},
        "flat patch": {
            "pretrained.patch_embed.proj.weight": torch.ones(8),
            "depth_head.scratch.output_conv1.weight": torch.ones(8),
            "pretrained.pos_embed": torch.ones(8),
        },
        "far unidepth": {f"pixel_encoder.blocks.{'9' * 30}.norm1.weight": torch.ones(8)},
        "words": {"hello": torch.ones(8)},
    }
    return [
        Case(f"network: {what}", "a.safetensors", save(state), "network")
        for what, state in parts.items()
    ]


def _configurations():
    texts = {
        "deep list": b"[" * 100_000,
        "deep object": b'{"a":' * 50_000,
        "huge": b"{" + b" " * (2 << 20) + b"}",
        "list": b"[]",
        "number": b"1",
        "cut": b'{"a": 1',
        "no letters": b"\xff\xfe\x00",
        "huge number": b'{"a": ' + b"9" * 10_000 + b"}",
    }
    return [
        Case(f"configuration, {what}", "config.json", content, "config")
        for what, content in texts.items()
    ]


def _strengths():
    texts = {
        "two decimals": "1,5 2,5",
        "words": "ten",
        "nan": "nan",
        "infinite": "1e999",
        "negative": "-1",
        "zero": "0",
        "nothing": "",
        "commas": ",,,",
        "underscores": "1_0 2,5,x",
        "code": "__import__('os')",
        "a megabyte": "[" * 1_000_000,
        "a million": "1 " * 1_000_000,
        "long": "9" * 100_000,
        "brackets": "[10, 20]",
        "lines": "ten\nten",
    }
    found = [
        Case(f"strengths, {what}", "a.txt", text.encode(), "strengths")
        for what, text in texts.items()
    ]
    right = {
        "full width": "\uff11\uff10\u3001\uff12\uff10",
        "lines of numbers": "10\n20",
        "semicolons": "10;20",
    }
    return found + [
        Case(f"strengths, {what}", "a.txt", text.encode(), "strengths", VALUE, check=_ten_twenty)
        for what, text in right.items()
    ]


def _ten_twenty(found):
    assert found == (10.0, 20.0)


def cases(deep=False):
    """Return the hostile weight files and texts."""
    good = save({"a": torch.ones(64)})
    more = mutations("deep safetensors", "a.safetensors", good, "weights", tail=REFUSED, deep=True)
    return [
        *(
            *_codes(),
            *_pickles(),
            *_archives(),
            *_safetensors(),
            *_adapters(),
            *_networks(),
        ),
        *(*_configurations(), *_strengths(), *(more if deep else ())),
    ]
