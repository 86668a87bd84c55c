"""Command lines with one hostile file among good ones: refused in one line, nothing written."""

from hostile_case import Case

# What a command line is without its name for the file, FILE, beside the bundled PHOTO and DEPTH.
_OUT = "-o OUT.png"
COMMANDS = {
    "photo.png": [
        f"render FILE DEPTH --strength 4 {_OUT}",
        f"render FILE --strength 4 {_OUT}",
        f"render PHOTO DEPTH --strength 4 {_OUT} --hold-out FILE",
        f"render PHOTO DEPTH --strength 4 {_OUT} --background FILE",
        f"render PHOTO DEPTH --strength 4 {_OUT} --aperture-image FILE",
        f"render PHOTO FILE --strength 4 {_OUT}",
        "depth FILE --stack PHOTO --strengths 4 -o OUT.exr",
        "depth PHOTO --stack FILE --strengths 4 -o OUT.exr",
        "depth PHOTO --subject FILE -o OUT.exr",
        "depth FILE -o OUT.exr",
        "depth --focus-stack PHOTO FILE --focus-distances 1,2 -o OUT.exr",
        "stack FILE --depth DEPTH --strengths 4 -o OUT",
        "stack PHOTO --depth FILE --strengths 4 -o OUT",
        "demo FILE --output OUT",
    ],
    "clip.mp4": [
        "render FILE DEPTH --strength 4 -o OUT.mp4",
        f"render PHOTO FILE --strength 4 {_OUT}",
    ],
    "depth.npz": [f"render PHOTO FILE --strength 4 {_OUT}", "depth FILE -o OUT.exr"],
    "depth.exr": [f"render PHOTO FILE --strength 4 {_OUT}", "depth FILE -o OUT.npz"],
    "weights.pth": [
        "depth PHOTO --model FILE -o OUT.exr",
        "weights convert FILE OUT.safetensors",
        "stack PHOTO --adapter FILE --base-model FILE --strengths 4 -o OUT",
        "evaluate depth --checkpoint FILE --samples 1",
        "train depth --encoder FILE -o OUT --steps 1",
    ],
    "weights.safetensors": [
        "depth PHOTO --model FILE -o OUT.exr",
        "weights convert FILE OUT.safetensors",
    ],
    "data.jsonl": [
        "evaluate depth --manifest FILE",
        "train depth --manifest FILE -o OUT --steps 1",
        "stack FILE --strengths 4 -o OUT",
    ],
}
_CONTENTS = {
    "nothing": b"",
    "text": b"this is no such file\n" * 20,
    "zeros": bytes(3000),
    "a head alone": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a script": b"#!/bin/sh\ntouch pwned\n",
    "brackets": b"[" * 100_000,
}


def cases(deep=False):
    """Return all cases of command lines; each reader is the line itself."""
    return [
        Case(f"{line}: {what} as {name}", name, content, line)
        for name, lines in COMMANDS.items()
        for line in lines
        for what, content in _CONTENTS.items()
    ]
