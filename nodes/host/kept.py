"""What Render Bokeh keeps between runs, where ComfyUI counts it and takes its memory back.

ComfyUI frees memory by unloading models, the oldest first: where a model needs room, and all of
them at *free memory*. So the cache is registered as one: as large as what it holds.
"""

import comfy.model_management as mm
from comfy.model_patcher import ModelPatcher
from torch import nn

from ...bokehdepth_core.render.preparation import PreparationCache
from ...bokehdepth_core.render.tiles import LARGEST_SIDE

LARGEST = 512 * 2**20  # bytes
EACH_PIXEL = 90  # bytes that are kept of a picture, about


class KeptPreparation(nn.Module):
    """The name under which ComfyUI's log calls what is kept."""


class _Kept(ModelPatcher):
    """A cache in the shape of a loaded model: unloading it lets go of what is kept."""

    def __init__(self):
        self.cache = PreparationCache(LARGEST)  # some versions ask for the size while they begin
        device = mm.get_torch_device()
        super().__init__(KeptPreparation(), load_device=device, offload_device=device)

    def model_size(self):
        return self.cache.used_bytes

    def loaded_size(self):
        return self.cache.used_bytes

    def partially_load(self, *_, **__):
        return 0

    def partially_unload(self, device_to, memory_to_free=0, **_):
        return self.cache.free(memory_to_free)

    def detach(self, unpatch_all=True):
        self.cache.free()
        return self.model


_KEPT: list[_Kept] = []


def preparation(pictures: int, size: tuple[int, int]) -> PreparationCache | None:
    """Return the cache of this ComfyUI, which counts it from now on.

    A clip that it cannot hold is rendered without, None: what is kept of its first frames would be
    gone before they come again.

    Args:
        pictures: different ones that are rendered in a run.
        size: of each, (height, width), px.
    """
    if not _holds(pictures, size):
        return None
    if not _KEPT:
        _KEPT.append(_Kept())
    if not any(one is _KEPT[0] for one in mm.loaded_models()):
        mm.load_models_gpu(_KEPT)
    return _KEPT[0].cache


def yet_to_keep(pictures: int, size: tuple[int, int]) -> int:
    """Return how many bytes a run adds to what is kept, at most; the last picture's are its own.

    Args:
        pictures: different ones that are rendered in a run.
        size: of each, (height, width), px.
    """
    if not _holds(pictures, size):
        return 0
    others = pictures - 1 if size[0] * size[1] <= LARGEST_SIDE**2 else pictures
    used = _KEPT[0].cache.used_bytes if _KEPT else 0
    return max(0, min(LARGEST - used, others * size[0] * size[1] * EACH_PIXEL))


def _holds(pictures: int, size: tuple[int, int]) -> bool:
    return pictures == 1 or pictures * size[0] * size[1] * EACH_PIXEL <= LARGEST
