"""Hostile videos: damaged, of another kind than their name, or lists that name further files."""

import functools
import io
import struct
import tempfile
from pathlib import Path

import torch
from hostile_case import EITHER, VALUE, Case, mutations
from PIL import Image

from bokehdepth_core.files.clips import write_clip

_LISTS = {
    "concat script": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "playlist of the net": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "session": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>',
    "text": b"no video\n" * 30,
    "one byte": b"\0",
    "nothing": b"",
    "zeros": bytes(4096),
    "postscript": b"%!PS-Adobe-3.0\n/a {a} def a\n",
}
NAMES = ("clip.mp4", "clip.mov", "clip.mkv", "clip.webm", "clip.avi")


@functools.cache
def video(frames=3):
    """Return the bytes of a small .mp4."""
    random = torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        write_clip(path, torch.rand(frames, 32, 48, 3, generator=random))
        return path.read_bytes()


def _with_sides(width, height):
    """Return the video with other sides in its track and its picture's description."""
    content = bytearray(video())
    header = content.index(b"tkhd") + 4
    content[header + 76 : header + 84] = struct.pack(">II", width << 16, height << 16)
    description = content.index(b"avc1", content.index(b"stsd")) + 4
    content[description + 24 : description + 28] = struct.pack(">HH", width, height)
    return bytes(content)


def _counted(content, box, at, value):
    """Return the video with a number of a box overwritten."""
    place = content.index(box) + 4 + at
    return content[:place] + struct.pack(">I", value) + content[place + 4 :]


def _has_frames(count):
    def check(frames):
        assert len(frames) == count, len(frames)
        assert frames[0].shape == (32, 48, 3), frames[0].shape

    return check


def cases(deep=False):
    """Return all cases of videos."""
    good = video()
    found = [Case("a video", "clip.mp4", good, "clip", VALUE, check=_has_frames(3))]
    found += [
        Case(f"a video named {name}", name, good, "clip", EITHER)
        for name in NAMES
        if name[-1] != "4"
    ]
    found += [
        Case(f"{what} named {name}", name, content, "clip")
        for what, content in _LISTS.items()
        for name in NAMES
    ]
    # What is behind the index, or some of the pictures, may be lost without notice.
    found += mutations("video", "clip.mp4", good, "clip", tail=EITHER, deep=deep)
    picture = io.BytesIO()
    Image.new("RGB", (9, 9)).save(picture, "PNG")
    found += [
        Case("a picture as video", "clip.mp4", picture.getvalue(), "clip"),
        Case("an odd name", "clip %d [a]:b.mp4", good, "clip", VALUE, check=_has_frames(3)),
        Case("a protocol's name", "concat:a|b.mp4", good, "clip", VALUE, check=_has_frames(3)),
        Case("sides of 60000", "clip.mp4", _with_sides(60_000, 60_000), "clip", EITHER),
        Case("sides of 0", "clip.mp4", _with_sides(0, 0), "clip", EITHER),
        Case("no picture's place", "clip.mp4", good.replace(b"stco", b"free"), "clip"),
        Case("no description", "clip.mp4", good.replace(b"stsd", b"free"), "clip"),
        Case("sound alone", "clip.mp4", good.replace(b"vide", b"soun"), "clip"),
    ]
    for box, at in ((b"stsz", 8), (b"stco", 4), (b"stsc", 4), (b"stts", 4)):
        for value in (0, 0xFFFFFFFF, 0x0FFFFFFF):
            name = f"{box.decode()} says {value}"
            found.append(Case(name, "clip.mp4", _counted(good, box, at, value), "clip", EITHER))
    return found
