"""Fits the coefficients of the confidence in `depth/sweep/labelling/`, and prints them.

    python benchmarks/fit_confidence.py SCENES... [--noise 5] [--apart]

SCENES are folders of scene folders: the public ones, those of `bracket_scenes.py --fitting` and of
`random_scenes.py`. Each stack is taken as it is and with noise; those of which less than a fifth is
right are left out, since nothing in them tells depth. A logistic function of the signs is fitted by
Newton's method, each stack of equal weight. What comes out is checked on other scenes (`sweep.py`);
with `--apart`, on each of these too, with coefficients fitted without it.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from reliability import reliability
from sweep import Scene, load, right_pixels
from torch import Tensor

from bokehdepth_core.callbacks import ignore_progress, never_cancelled
from bokehdepth_core.depth.sweep.estimate import labelled
from bokehdepth_core.depth.sweep.labelling.confidence import clipped_light

PIXELS = 8000  # of each stack
LEAST_RIGHT = 0.2  # of the pixels of a stack that counts
RIDGE = 1e-4


def with_noise(scene: Scene, sigma: float) -> Scene:
    """Return a scene whose pictures hold Gaussian noise of `sigma` 8-bit steps."""
    random = torch.Generator().manual_seed(0)

    def noisy(image: Tensor) -> Tensor:
        seen = image + sigma / 255 * torch.randn(image.shape, generator=random)
        return (seen.clamp(0, 1) * 255).round() / 255

    stack = replace(
        scene.stack, reference=noisy(scene.stack.reference), frames=noisy(scene.stack.frames)
    )
    return replace(scene, stack=stack)


def samples(scene: Scene) -> tuple[Tensor, Tensor]:
    """Return signs [P,4] and whether they were right, [P], at random pixels but those of sky."""
    found = labelled(
        scene.stack,
        clipped_light(scene.stack),
        True,
        1 / scene.focus_depth,
        scene.aperture,
        ignore_progress,
        never_cancelled,
    )
    measured = torch.ones_like(found.offset, dtype=torch.bool) if found.sky is None else ~found.sky
    right = right_pixels(scene, found.offset)[measured].double()
    chosen = torch.randperm(len(right), generator=torch.Generator().manual_seed(0))[:PIXELS]
    return found.signs[:, measured].T[chosen].double(), right[chosen]


def fit(signs: Tensor, right: Tensor) -> Tensor:
    """Return the weights of the signs and the bias, [5], of the best logistic function."""
    inputs = torch.cat([signs, torch.ones(len(signs), 1).double()], 1)
    weights = inputs.new_zeros(inputs.shape[1])
    ridge = RIDGE * len(inputs) * torch.eye(len(weights), dtype=inputs.dtype)
    for _ in range(20):
        found = torch.sigmoid(inputs @ weights)
        slope = inputs.T @ (found - right) + ridge @ weights
        curvature = (inputs * (found * (1 - found))[:, None]).T @ inputs + ridge
        weights = weights - torch.linalg.solve(curvature, slope)
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--noise", type=float, default=5.0, help="8-bit steps")
    parser.add_argument("--apart", action="store_true", help="measure each scene unseen")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for folder in sorted(
        path.parent for top in arguments.scenes for path in top.glob("*/scene.json")
    ):
        scene = load(folder)
        stacks = [samples(scene), samples(with_noise(scene, arguments.noise))]
        found[scene.name] = [one for one in stacks if float(one[1].mean()) >= LEAST_RIGHT]
    *weights, bias = _fitted(found).tolist()
    print("BIAS =", round(bias, 2))
    print("WEIGHTS =", tuple(round(weight, 2) for weight in weights))
    for name, stacks in found.items() if arguments.apart else ():
        *weights, bias = _fitted({one: kept for one, kept in found.items() if one != name})
        for signs, right in stacks:
            confidence = torch.sigmoid(signs @ torch.stack(weights) + bias)
            print(name, reliability(confidence, right).summary)


def _fitted(found: dict[str, list[tuple[Tensor, Tensor]]]) -> Tensor:
    every = [one for stacks in found.values() for one in stacks]
    return fit(*(torch.cat(parts) for parts in zip(*every, strict=True)))


if __name__ == "__main__":
    main()
