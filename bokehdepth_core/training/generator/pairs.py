"""From lines of a manifest to pairs of latents: read or rendered, encoded once, kept on disk.

A line with a stack gives its frames; one with depth alone is rendered through several looks. All
pictures are cut to a square from the middle and brought to one side; a blur shrinks with its
picture, so K is scaled with it.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ...datatypes import BokehStack, DepthMap
from ...files.depth.reading import read_depth_file
from ...files.pictures.images import read_image
from ...generator.adapter import MAX_STRENGTH, MIN_STRENGTH
from ...generator.flux.tokens import resized
from ...generator.prompts import bokeh_prompt
from ...resample import fit_depth
from ..dice import Dice
from ..manifest import REFUSE, Entry, Report
from .cache import Cache, file_digest, key_of
from .encoding import Encoder
from .looks import Look, drawn_look, rendered

_LOOK_AFTER = 64  # entries, at how much is kept


@dataclass(frozen=True)
class Scene:
    """A photo and its blurred frames through one lens, as keys of what is kept.

    Attributes:
        where: "file:line", for messages.
        photo: key of the photo's latents.
        targets: key and K, px·m at the training's size, of each frame; K rises.
    """

    where: str
    photo: str
    targets: tuple[tuple[str, float], ...]

    @property
    def strengths(self) -> tuple[float, ...]:
        """K of each frame."""
        return tuple(strength for _, strength in self.targets)


@dataclass(eq=False)
class Preparation:
    """Makes scenes of entries, and encodes what is not kept yet.

    Attributes:
        encoder: of the base model.
        cache: of what is encoded.
        size: side of the square pictures, px.
        looks: of a photo that is rendered.
        frames: of each look.
        seed: of the looks.
    """

    encoder: Encoder
    cache: Cache
    size: int
    looks: int = 4
    frames: int = 3
    seed: int = 0
    _used: set[str] = field(default_factory=set, repr=False)

    def scenes(
        self,
        entries: Sequence[Entry],
        numbers: Sequence[int] | None = None,
        *,
        on_bad: str = REFUSE,
        report: Report = lambda line: None,
        on_progress: OnProgress = ignore_progress,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> list[Scene]:
        """Return the scenes of entries, all of them encoded and kept.

        Args:
            entries: of a manifest.
            numbers: of the entries that are taken; None takes all.
            on_bad: "refuse" stops at an entry that cannot be used, "skip" goes on.
            report: called with a line for each entry that is skipped.
            on_progress: called after each entry.
            check_cancelled: raises to stop.

        Raises:
            ValueError: an unusable entry, or more to keep than the cache may hold.
        """
        wanted = range(len(entries)) if numbers is None else numbers
        begun = time.time()
        found: list[Scene] = []
        for done, number in enumerate(wanted):
            on_progress(done, len(wanted))
            try:
                found += list(self._scenes_of(entries[number], number, check_cancelled))
            except ValueError as error:
                if on_bad == REFUSE:
                    raise
                report(f"skipped {error}")
            if done % _LOOK_AFTER == _LOOK_AFTER - 1:
                self.cache.make_room(self._used, begun)
        # After all pictures: text encoders and VAE would change places on a device for each photo.
        for strength in sorted({one for scene in found for one in scene.strengths}):
            check_cancelled()
            self.prompt(bokeh_prompt(strength))
        self.cache.make_room(self._used, begun)
        on_progress(len(wanted), len(wanted))
        return found

    def prompt(self, text: str) -> str:
        """Return the key of an encoded prompt."""
        key = key_of("text", self.encoder.text_mark, text)
        if key not in self._used and self.cache.found(key) is None:
            self.cache.write(key, self.encoder.prompt(text))
        self._used.add(key)
        return key

    def stack(self, entry: Entry, number: int, most: int) -> BokehStack:
        """Return the pictures of an entry's first scene, at most so many frames, K rising."""
        photo = self._square(entry.reference, entry)
        if entry.frames:
            scale = self._scale(entry)
            pairs = sorted(zip(entry.strengths, entry.frames, strict=True))
            pairs = [pairs[index] for index in _spread(len(pairs), most)]
            frames = [self._square(file, entry) for _, file in pairs]
            values = tuple(self._strength(scale * strength, entry) for strength, _ in pairs)
            return BokehStack(photo, torch.stack(frames), values)
        depth = self._depth(entry)
        look = self._look(photo, depth, number, 0)
        values = tuple(look.strengths[index] for index in _spread(len(look.strengths), most))
        pictures = [rendered(photo, depth, look, strength) for strength in values]
        return BokehStack(photo, torch.stack(pictures), values)

    def _scenes_of(
        self, entry: Entry, number: int, check_cancelled: CheckCancelled
    ) -> Iterator[Scene]:
        if entry.frames:
            yield self._from_frames(entry)
        else:
            yield from self._from_looks(entry, number, check_cancelled)

    def _from_frames(self, entry: Entry) -> Scene:
        photo = self._picture(entry.reference, entry)
        scale = self._scale(entry)
        targets = []
        for file, strength in zip(entry.frames, entry.strengths, strict=True):
            key = self._picture(file, entry)
            sizes = [self._kept(one)["size"].tolist() for one in (key, photo)]
            if sizes[0] != sizes[1]:
                own, other = ("x".join(str(int(side)) for side in one) for one in sizes)
                raise ValueError(
                    f"{entry.where}: {file.name} is {own}, its photo {other}. Make the frames "
                    "from the same photo."
                )
            targets.append((key, self._strength(scale * strength, entry)))
        return Scene(entry.where, photo, tuple(sorted(targets, key=lambda one: one[1])))

    def _from_looks(
        self, entry: Entry, number: int, check_cancelled: CheckCancelled
    ) -> Iterator[Scene]:
        """Yield scenes rendered through the looks; what is kept is not rendered again."""
        key = self._picture(entry.reference, entry)
        photo, depth = self._square(entry.reference, entry), self._depth(entry)
        files = (file_digest(entry.reference), file_digest(_depth_file(entry)), entry.depth_scale)
        mark = ("look", self.encoder.picture_mark, self.size, *files)
        for index in range(self.looks):
            look = self._look(photo, depth, number, index)
            targets = []
            for strength in look.strengths:
                check_cancelled()
                own = key_of(*mark, look.record(), strength)
                if own not in self._used and self.cache.found(own) is None:
                    frame = rendered(photo, depth, look, strength, check_cancelled)
                    self.cache.write(own, {"latent": self.encoder.picture(frame)})
                self._used.add(own)
                targets.append((own, strength))
            yield Scene(entry.where, key, tuple(targets))

    def _look(self, photo: Tensor, depth: Tensor, number: int, index: int) -> Look:
        return drawn_look(photo, depth, self.frames, Dice(self.seed, number, index, 31))

    def _picture(self, file: Path, entry: Entry) -> str:
        """Return the key of a picture's latents, encoded now where they are not kept."""
        try:
            key = key_of("picture", self.encoder.picture_mark, self.size, file_digest(file))
        except OSError as error:
            raise ValueError(f"{entry.where}: {file.name}: cannot be read ({error}).") from error
        if key not in self._used and self.cache.found(key) is None:
            image = _read(file, entry)
            latent = self.encoder.picture(self._cut(image, file, entry))
            self.cache.write(key, {"latent": latent, "size": torch.tensor(image.shape[:2])})
        self._used.add(key)
        return key

    def _kept(self, key: str) -> dict[str, Tensor]:
        return self.cache.read(key)

    def _scale(self, entry: Entry) -> float:
        """Return by how much a blur shrinks, with its picture, to the training's size."""
        size = self._kept(self._picture(entry.reference, entry))["size"]
        return self.size / int(size.min())

    def _strength(self, value: float, entry: Entry) -> float:
        """Return a strength at the training's size after checking that the adapter knows it."""
        slack = 1e-6 * value
        if not MIN_STRENGTH - slack <= value <= MAX_STRENGTH + slack:
            raise ValueError(
                f"{entry.where}: K is {value:.3g} at {self.size} px, outside of the adapter's "
                f"{MIN_STRENGTH:g} to {MAX_STRENGTH:g}. Leave the frame out, or change --size."
            )
        return float(f"{value:.6g}")  # so that one K has one prompt

    def _square(self, file: Path, entry: Entry) -> Tensor:
        return self._cut(_read(file, entry), file, entry)

    def _cut(self, image: Tensor, file: Path, entry: Entry) -> Tensor:
        """Return the middle square of a picture [H,W,3] at the training's size."""
        height, width = image.shape[:2]
        side = min(height, width)
        if side < self.size:
            raise ValueError(
                f"{entry.where}: {file.name} is {height}x{width} px, smaller than {self.size}. "
                "Give a smaller --size, or larger photos."
            )
        top, left = (height - side) // 2, (width - side) // 2
        square = image[top : top + side, left : left + side].float().clamp(0, 1)
        return resized(square[None], self.size, self.size)[0]

    def _depth(self, entry: Entry) -> Tensor:
        """Return the depth of the middle square, [size,size], holes filled along the photo."""
        file, photo = _depth_file(entry), _read(entry.reference, entry)
        try:
            found = read_depth_file(file, entry.depth_scale, photo=photo)
        except (ValueError, OSError) as error:
            raise ValueError(f"{entry.where}: {error}") from error
        if found.nan_pixels:
            raise ValueError(
                f"{entry.where}: {file.name} holds NaN in {found.nan_pixels} pixels. Repair it."
            )
        height, width = photo.shape[0], photo.shape[1]
        depth = fit_depth(found.depth, (height, width))
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        cut = depth.depth[:, top : top + side, left : left + side]
        square = DepthMap(cut, metric=depth.metric)
        return fit_depth(square, (self.size, self.size), soft_edges=True).depth[0].float()


def _depth_file(entry: Entry) -> Path:
    if entry.depth is None:
        raise ValueError(
            f"{entry.where}: neither frames nor depth. Add a stack with its k, or a depth."
        )
    return entry.depth


def _read(file: Path, entry: Entry) -> Tensor:
    try:
        return read_image(file)
    except (ValueError, OSError) as error:
        raise ValueError(f"{entry.where}: {error}") from error


def _spread(count: int, most: int) -> list[int]:
    """Return at most so many numbers below a count, the first and the last among them.

    Example:
        >>> _spread(7, 3), _spread(2, 3)
        ([0, 3, 6], [0, 1])
    """
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]
