"""The files that the example graphs load, and which ComfyUI loads them."""

import shutil

import numpy as np
import OpenEXR
from comfyui_server import ROOT, ComfyServer


def give_inputs(server: ComfyServer) -> None:
    """Put a photo and a small linear EXR with Z into the server's input folder."""
    inputs = server.folder / "input"
    shutil.copy(ROOT / "bokehdepth_core/demo/assets/photo.png", inputs / "example.png")
    ramp = np.linspace(1, 5, 64, dtype=np.float32)[None].repeat(48, 0)
    channels = dict.fromkeys("RGB", ramp / 2) | {"Z": ramp}
    header = {"type": OpenEXR.scanlineimage}
    OpenEXR.File(header, channels).write(str(inputs / "render.exr"))


def loads_exr(server: ComfyServer) -> bool:
    """Return whether ComfyUI's Load Image reads EXR."""
    version = server.get("/system_stats")["system"]["comfyui_version"]
    return tuple(int(one) for one in version.split(".")[:2]) >= (0, 33)
