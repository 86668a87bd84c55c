"""Which parts of a FLUX pipeline are on the device that computes: what is needed, when it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
TRANSFORMER = ("transformer",)
VAE = ("vae",)


class Placement(Protocol):
    """Brings the parts of a pipeline to the device that computes; a host may have its own way."""

    @property
    def device(self) -> torch.device:
        """The device that computes."""

    def bring(self, names: Sequence[str], needed_bytes: int) -> int | None:
        """Put parts on the device, with memory to work in; return the bytes free there.

        Args:
            names: attributes of the pipeline: some of `text_encoder`, `text_encoder_2`,
                `transformer` and `vae`.
            needed_bytes: that their work takes beside their weights.

        Returns:
            None where nobody knows, as on a CPU.
        """
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class InTurn:
    """Keeps the parts on one device as long as its memory lasts, but text encoders never longer.

    Attributes:
        pipeline: diffusers' pipeline.
        device: the device that computes.
    """

    pipeline: Any
    device: torch.device

    def bring(self, names: Sequence[str], needed_bytes: int) -> int | None:
        """Put parts on the device; see `Placement`."""
        if self.device.type == "cpu":
            return None
        others = [name for name in (*TEXT_ENCODERS, *TRANSFORMER, *VAE) if name not in names]
        missing = sum(_bytes_elsewhere(part, self.device) for part in self._parts(names))
        for name in others:
            if name in TEXT_ENCODERS or not self._fits(missing + needed_bytes):
                for part in self._parts([name]):
                    part.to("cpu")
        for part in self._parts(names):
            part.to(self.device)
        return self._free()

    def _parts(self, names: Sequence[str]) -> list[nn.Module]:
        parts = (getattr(self.pipeline, name, None) for name in names)
        return [part for part in parts if isinstance(part, nn.Module)]

    def _fits(self, wanted: int) -> bool:
        free = self._free()
        return free is not None and free >= wanted

    def _free(self) -> int | None:
        if self.device.type != "cuda":
            return None
        unused = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return torch.cuda.mem_get_info(self.device)[0] + unused


def _bytes_elsewhere(part: nn.Module, device: torch.device) -> int:
    return sum(
        weight.numel() * weight.element_size()
        for weight in part.parameters()
        if weight.device.type != device.type
    )
