"""PyTorch's Linux wheels on the CPU without NVIDIA's libraries, of which they need gigabytes.

The wheels of the package index are built for CUDA and load its libraries when they are imported,
even where nothing will ever run on a GPU. Beside them this puts libraries of the same names whose
functions all answer "no driver" (CUDA error 35), as the real ones do on a machine without a GPU.
What computes on the CPU is PyTorch's own code. Needs gcc, nm and readelf.
"""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

NO_DRIVER = 35  # cudaErrorInsufficientDriver
NVIDIA = re.compile(r"lib(cu|nv|nccl)\w*\.so\.\d+")
SYMBOL = re.compile(r" U (_*(?:cu|nv|nccl)\w+)(?:@+(\S+))?$", re.MULTILINE)


def add_stand_ins(libraries: Path) -> list[str]:
    """Write what is missing into the folder torch/lib and return the names, in order."""
    needed, file_of, symbols = set(), {}, defaultdict(set)
    for file in libraries.glob("*.so*"):
        needed |= set(re.findall(r"NEEDED.*\[(.+)\]", _output("readelf", "-dW", file)))
        for name, versions in _versions(_output("readelf", "-VW", file)):
            file_of |= dict.fromkeys(versions, name)
        for symbol, version in SYMBOL.findall(_output("nm", "-D", "--undefined-only", file)):
            symbols[version].add(symbol)
    have = {file.name for file in libraries.iterdir()}
    missing = sorted(name for name in needed - have if NVIDIA.fullmatch(name))
    for index, name in enumerate(missing):
        tagged = {tag: symbols[tag] for tag, file in file_of.items() if file == name}
        _build(libraries / name, tagged, symbols[""] if index == 0 else set())
    return missing


def _output(*command) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _versions(listed: str) -> list[tuple[str, list[str]]]:
    """Return the versions that a library asks of each other library."""
    parts = re.split(r"File: (\S+)", listed)[1:]
    return [
        (name, re.findall(r"Name: (\S+) ", text))
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def _build(library: Path, tagged: dict[str, set[str]], plain: set[str]) -> None:
    """Compile one library: `tagged` are its symbols by version, `plain` those without one."""
    names = sorted(plain.union(*tagged.values()))
    labels = [f".globl {name}\n.type {name},@function\n{name}:" for name in names]
    code = [".text", *labels, f"mov ${NO_DRIVER}, %eax", "ret"]
    source, script = library.with_suffix(".stand_in.s"), library.with_suffix(".stand_in.map")
    source.write_text("\n".join([*code, '.section .note.GNU-stack,"",@progbits', ""]))
    lists = {tag: " ".join(f"{name};" for name in sorted(own)) for tag, own in tagged.items()}
    blocks = [f"{tag} {{ {'global: ' + own if own else ''} }};" for tag, own in lists.items()]
    script.write_text("\n".join(blocks))
    options = [f"-Wl,-soname,{library.name}"]
    options += [f"-Wl,--version-script,{script}"] * bool(blocks)
    subprocess.run(["gcc", "-shared", "-nostdlib", "-o", library, *options, source], check=True)
    source.unlink()
    script.unlink()
