"""Trained networks back under the names of the published files, query, key and value joined."""

import re

import torch

from ...weights.reading import StateDict
from ...weights.strict import Rules, inverse, rename
from .depth_anything import ORIGINAL_KEYS
from .dinov2 import names_of_transformers_4
from .unidepth import KEYS

DEPTH_ANYTHING: Rules = inverse(ORIGINAL_KEYS)
UNIDEPTH: Rules = inverse(KEYS)


def published_names(state: StateDict, rules: Rules) -> StateDict:
    """Return a network's tensors under the names of the published files.

    What the published files hold and no output depends on, such as a mask token, is not there.

    Args:
        state: as `state_dict()` of a network gives it, whatever transformers calls its parts.
        rules: `DEPTH_ANYTHING` or `UNIDEPTH`.

    Raises:
        CheckpointError: tensors of another network.

    Example:
        >>> head = {"head.conv1.weight": torch.zeros(1)}
        >>> list(published_names(head, DEPTH_ANYTHING))
        ['depth_head.scratch.output_conv1.weight']
    """
    plain = rename(names_of_transformers_4(state), rules, "network")
    joined: StateDict = {}
    for key, value in plain.items():
        part = re.search(r"\.attn\.(query|key|value)\.", key)
        if part is None:
            joined[key] = value
        elif part[1] == "query":
            parts = [plain[key.replace(".query.", f".{one}.")] for one in ("query", "key", "value")]
            joined[key.replace(".query.", ".qkv.")] = torch.cat(parts)
    return joined
