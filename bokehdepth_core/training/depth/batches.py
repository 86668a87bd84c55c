"""Samples of depth side by side, and the crops of a manifest's photos."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..dice import Dice
from ..manifest import REFUSE, Entry, Report
from ..samples import Sample, load_sample

_ONE_SIDE = 0.5  # px of blur that things may lie on the other side of the focus
_TRIES = 100  # samples that may be skipped in a row


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples side by side.

    Attributes:
        frames: [B,F,3,h,w], sRGB, 0…1; frame 0 is the photo.
        strengths: [B,F], px·m; 0 for the photo.
        disparity: [B,h,w], 1/m.
        known: [B,h,w] bool.
        focus: [B], disparity of the plane that is sharp in the frames, 1/m.
        side: [B]; -1 where all lies behind that plane, 1 where all lies in front of it, else 0.
    """

    frames: Tensor
    strengths: Tensor
    disparity: Tensor
    known: Tensor
    focus: Tensor
    side: Tensor

    @property
    def largest(self) -> Tensor:
        """[B], the largest strength, px·m."""
        return self.strengths.amax(1)

    @property
    def defocus(self) -> Tensor:
        """[B,h,w], signed blur at the largest strength, px: ρ = K_max (d − d_f)."""
        return self.largest[:, None, None] * (self.disparity - self.focus[:, None, None])

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return Batch(*(getattr(self, one.name).to(device) for one in fields(self)))

    def with_other_stacks(self) -> "Batch":
        """Return the batch with each photo's frames taken from its neighbour: a control."""
        frames = torch.cat([self.frames[:, :1], self.frames[:, 1:].roll(1, 0)], dim=1)
        return Batch(frames, self.strengths, self.disparity, self.known, self.focus, self.side)


def collate(samples: Sequence[Sample]) -> Batch:
    """Return samples of one size and one number of frames as a batch."""
    frames = torch.stack([one.pictures for one in samples]).movedim(-1, 2)
    strengths = torch.stack([one.strengths for one in samples])
    disparity = torch.stack([one.disparity for one in samples])
    known = torch.stack([one.known for one in samples])
    focus = torch.tensor([one.focus_disparity for one in samples])
    batch = Batch(frames, strengths, disparity, known, focus, torch.zeros(len(samples)))
    blur = torch.where(known, batch.defocus, torch.zeros_like(disparity)).flatten(1)
    behind, front = blur.amax(1) <= _ONE_SIDE, blur.amin(1) >= -_ONE_SIDE
    side = torch.where(behind, -1.0, torch.where(front, 1.0, 0.0))
    return Batch(frames, strengths, disparity, known, focus, side)


@dataclass(frozen=True)
class ManifestSource:
    """Crops of a manifest's samples, each epoch in an order of its own.

    Attributes:
        entries: of the manifest.
        seed: of the order and the crops.
        size: side of the crops, px.
        on_bad: "refuse" stops at a file that cannot be used, "skip" takes the next one.
        nan_is_unknown: take NaN in depth for "not measured".
        assume_focus: "nearest" or "farthest" where the manifest does not say; None needs it said.
        report: called with a line for each sample that is skipped.

    Raises:
        ValueError: entries without a stack, or with different numbers of frames.
    """

    entries: Sequence[Entry]
    seed: int
    size: int
    on_bad: str = REFUSE
    nan_is_unknown: bool = False
    assume_focus: str | None = None
    report: Report = lambda line: None

    def __post_init__(self) -> None:
        first = self.entries[0]
        for one in self.entries:
            if not one.frames or len(one.frames) != len(first.frames):
                raise ValueError(
                    f"{one.where}: {len(one.frames)} frames in its stack, {first.where} has "
                    f"{len(first.frames)}. Give every photo as many, at least one."
                )

    def __getitem__(self, index: int) -> Sample:
        """Return a crop of one sample."""
        last: Exception | None = None
        for attempt in range(min(_TRIES, len(self.entries)) if self.on_bad != REFUSE else 1):
            entry = self.entry(index + attempt)
            try:
                return self._crop(entry, Dice(self.seed, index, 1))
            except ValueError as error:
                if self.on_bad == REFUSE:
                    raise
                self.report(f"skipped {error}")
                last = error
        raise ValueError(f"no usable sample among many; the last: {last}")

    def entry(self, index: int) -> Entry:
        """Return the entry that sample number `index` is cut from."""
        epoch, place = divmod(index, len(self.entries))
        order = torch.randperm(len(self.entries), generator=Dice(self.seed, epoch).generator)
        return self.entries[int(order[place])]

    def _crop(self, entry: Entry, dice: Dice) -> Sample:
        sample = load_sample(entry, nan_is_unknown=self.nan_is_unknown)
        height, width = sample.disparity.shape
        if min(height, width) < self.size:
            raise ValueError(
                f"{entry.where}: {height}x{width} px, smaller than the crops of {self.size} px. "
                "Give a smaller --size, or larger photos."
            )
        focus = sample.focus_disparity
        if focus != focus:  # NaN: the manifest does not say
            focus = self._assumed(entry, sample)
        top, left = dice.integer(0, height - self.size), dice.integer(0, width - self.size)
        rows, columns = slice(top, top + self.size), slice(left, left + self.size)
        return Sample(
            sample.pictures[:, rows, columns],
            sample.strengths,
            sample.disparity[rows, columns],
            sample.known[rows, columns],
            focus,
            sample.metric,
        )

    def _assumed(self, entry: Entry, sample: Sample) -> float:
        if self.assume_focus is None:
            raise ValueError(
                f"{entry.where}: no focus_depth, so the target of the blur is unknown. Add it, or "
                "say what is sharp: --assume-focus nearest or farthest."
            )
        seen = sample.disparity[sample.known]
        pick: Callable[[], Tensor] = seen.max if self.assume_focus == "nearest" else seen.min
        return float(pick())
