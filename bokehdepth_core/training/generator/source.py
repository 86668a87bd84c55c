"""Examples of a training step: which photo, which strength, which noise, by their number alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...generator.prompts import bokeh_prompt
from ..dice import Dice
from .cache import Cache, key_of
from .encoding import WordPlaces
from .flow import Example, drawn_time
from .pairs import Scene
from .settings import GeneratorSettings

VALIDATION_SEED = 1_000_003  # of the noise of validation; no run may train with it


@dataclass(frozen=True, eq=False)
class PairSource:
    """An endless row of examples.

    Attributes:
        scenes: that are drawn from, each epoch in an order of its own.
        cache: of what is encoded.
        settings: of the training.
        text_mark: of what encoded the prompts.
        places: [2T,A], position ids of target and reference.
        word_places: gives those of so many words.

    Raises:
        ValueError: no scenes, or one with fewer frames than a group has.
    """

    scenes: Sequence[Scene]
    cache: Cache
    settings: GeneratorSettings
    text_mark: str
    places: Tensor
    word_places: WordPlaces

    def __post_init__(self) -> None:
        if not self.scenes:
            raise ValueError("manifest: no usable pair in it. The lines above say why.")
        for one in self.scenes:
            if len(one.targets) < self.settings.group:
                raise ValueError(
                    f"{one.where}: {len(one.targets)} frames, and a group takes "
                    f"{self.settings.group}. Give more strengths, or a smaller --group."
                )

    def __getitem__(self, index: int) -> Example:
        """Return one example; those of one group share photo, noise and time."""
        settings = self.settings
        group, member = divmod(index, settings.group)
        scene = self._scene(group)
        order = torch.randperm(
            len(scene.targets), generator=Dice(settings.seed, group, 21).generator
        )
        chosen = sorted(order[: settings.group].tolist())[member]
        time = drawn_time(Dice(settings.seed, group, 23), settings.times, settings.shift)
        dice = Dice(settings.seed, index, 24)
        keep = [not dice.chance(getattr(settings, f"{what}_dropout")) for what in _DROPPED]
        noise = Dice(settings.seed, group, 22)
        return self._example(scene, chosen, noise, time, *keep)

    def fixed(self, count: int) -> list[Example]:
        """Return the same examples whatever the run: nothing dropped, times spread evenly."""
        found = []
        for index in range(count):
            scene = self.scenes[index % len(self.scenes)]
            chosen = (index // len(self.scenes)) % len(scene.targets)
            noise, time = Dice(VALIDATION_SEED, index), (index + 0.5) / count
            found.append(self._example(scene, chosen, noise, time, True, True, True))
        return found

    def _scene(self, group: int) -> Scene:
        epoch, place = divmod(group, len(self.scenes))
        order = torch.randperm(
            len(self.scenes), generator=Dice(self.settings.seed, epoch, 20).generator
        )
        return self.scenes[int(order[place])]

    def _example(
        self,
        scene: Scene,
        chosen: int,
        noise: Dice,
        time: float,
        with_prompt: bool,
        with_strength: bool,
        with_image: bool,
    ) -> Example:
        key, strength = scene.targets[chosen]
        target = self.cache.read(key)["latent"]
        reference = self.cache.read(scene.photo)["latent"]
        prompt = bokeh_prompt(strength) if with_prompt else ""
        text = self.cache.read(key_of("text", self.text_mark, prompt))
        return Example(
            target,
            reference if with_image else torch.zeros_like(reference),
            self.places,
            text["text"],
            self.word_places(len(text["text"])),
            text.get("pooled", torch.zeros(0)),
            strength,
            with_strength,
            noise.normal(*target.shape),
            time,
        )


_DROPPED = ("prompt", "strength", "image")
