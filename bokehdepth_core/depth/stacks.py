"""Bokeh stacks as an estimator takes them: checked against the pictures, on its device."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from ..datatypes import BokehStack


def stacks_for(
    stack: BokehStack | Sequence[BokehStack], size: dict[str, int]
) -> Sequence[BokehStack]:
    """Return the stacks as a sequence after checking them against pictures of `size` (B, H, W).

    Raises:
        ValueError: another number of stacks than pictures, or mismatched sizes.
    """
    stacks = [stack] if isinstance(stack, BokehStack) else list(stack)
    if len(stacks) not in (1, size["B"]):
        raise ValueError(
            f"stack: {len(stacks)} stacks for {size['B']} pictures. Give one for each, or one."
        )
    for one in stacks:
        height, width = one.reference.shape[:2]
        if (height, width) != (size["H"], size["W"]):
            raise ValueError(
                f"stack: its pictures are {height}x{width}, the image is {size['H']}x{size['W']}. "
                "Make the stack from the same image."
            )
    return stacks


def on_device(stack: BokehStack, device: torch.device) -> BokehStack:
    """Return the stack with its pictures on a device."""
    return replace(stack, reference=stack.reference.to(device), frames=stack.frames.to(device))


def check_one_focus(stack: BokehStack, what: str) -> None:
    """Check that all frames of a stack share one focus plane.

    Raises:
        ValueError: a focus stack, which `what` cannot use.
    """
    if stack.focus_depths is not None:
        raise ValueError(
            f"stack: {what} takes frames of one focus and growing blur, and this is a focus stack. "
            "Use the built-in estimator for it."
        )
