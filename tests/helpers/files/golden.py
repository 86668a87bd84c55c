"""Reading the parity data: inputs, outputs, and weights made from their checkpoint keys."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

FOLDER = Path(__file__).parents[2] / "data" / "golden"
TABLES = ("cls_token", "pos_embed", "latents_pos", "level_embeds", "mask_token", "register_tokens")


def manifest(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def tensors(name):
    return load_file(FOLDER / f"{name}.safetensors")


def fixture(name):
    return manifest(name), tensors(name)


def recipe_weight(name, shape, seed):
    """float32 weight for a checkpoint key; the rules and their order define the parity data."""
    random = np.random.RandomState((zlib.crc32(name.encode()) ^ seed) & 0xFFFFFFFF)
    values = np.asarray(random.standard_normal(tuple(shape)), dtype=np.float32)
    leaf = name.rsplit(".", 1)[-1]
    if any(table in name for table in TABLES):
        return torch.from_numpy(np.float32(0.02) * values)
    if "gamma" in leaf:
        return torch.from_numpy(np.float32(0.1) + np.float32(0.02) * values)
    if len(shape) >= 2:
        gain = 0.05 if "k_embed.0." in name else 3.0 if "focus_attn.qkv." in name else 1.0
        return torch.from_numpy(np.float32(gain / np.sqrt(int(np.prod(shape[1:])))) * values)
    if leaf == "weight":
        return torch.from_numpy(np.float32(1.0) + np.float32(0.1) * values)
    return torch.from_numpy(np.float32(0.02) * values)


def recipe_state(shapes, seed):
    return {name: recipe_weight(name, shape, seed) for name, shape in shapes.items()}


def normalized(pictures):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((pictures.float() / 255 - mean) / std).movedim(-1, -3)


def with_reference(strengths):
    """[B,F] strengths, px·m, from those of the stack [B,N]: the reference's 0 in front."""
    return torch.cat([torch.zeros(len(strengths), 1), strengths], dim=1)


def rel_l2(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


def rel_max(found, wanted):
    return float(((found - wanted).abs() / wanted.abs().clip(min=1e-12)).max())


def max_abs(found, wanted):
    return float((found - wanted).detach().abs().max())
