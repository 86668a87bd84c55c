"""Ray-traced scenes with their truth, and the scores of a rendered picture."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage.metrics import structural_similarity
from torch import Tensor

from bokehdepth_core import Aperture
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear

EDGES = ("edge", "near-blurred", "far-blurred")
BOTH_SIDES = (slice(None, -1), slice(1, None))


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture through a lens: what a renderer gets, and what it should give.

    Attributes:
        scene, name: which one.
        image, truth: [H,W,3], sRGB, 0…1.
        image_hdr, truth_hdr: the same with lights above 1; None where the scene has none.
        depth: [1,H,W], m.
        strength: px·m.
        focus: m.
        aperture: shape of the opening.
    """

    scene: str
    name: str
    image: Tensor
    truth: Tensor
    image_hdr: Tensor | None
    truth_hdr: Tensor | None
    depth: Tensor
    strength: float
    focus: float
    aperture: Aperture


def read_shots(folder: Path) -> Iterator[Shot]:
    """Yield every render of every scene of a folder."""
    for scene in sorted(path.parent for path in folder.glob("*/scene.json")):
        facts = json.loads((scene / "scene.json").read_text(encoding="utf-8"))
        image, image_hdr = read_pair(scene / "sharp.png")
        depth = torch.from_numpy(np.load(scene / "depth.npz")["depth"])[None]
        for entry in facts["renders"]:
            truth, truth_hdr = read_pair(scene / f"gt_{entry['name']}.png")
            yield Shot(
                scene.name,
                entry["name"],
                image,
                truth,
                image_hdr,
                truth_hdr,
                depth,
                entry["K"],
                entry["focus_depth_m"],
                opening(facts["aperture"]),
            )


def opening(facts: dict) -> Aperture:
    """Return the aperture that a scene file describes."""
    if facts["shape"] == "disc":
        return Aperture()
    blades = facts.get("blades", facts.get("n_blades"))
    return Aperture(int(blades), float(facts.get("rotation_deg", 0)))


def read_pair(path: Path) -> tuple[Tensor, Tensor | None]:
    """Return a picture [H,W,3], and the same with its lights above 1 where there is such a file."""
    plain = torch.from_numpy(np.asarray(Image.open(path).convert("RGB"), np.float32) / 255)
    lights = path.with_name(path.stem + "_hdr.npz")
    if not lights.exists():
        return plain, None
    residual = torch.from_numpy(np.load(lights)["residual"].astype(np.float32))
    return plain, linear_to_srgb((srgb_to_linear(plain) + residual).clamp(min=0))


def energy(image: Tensor) -> float:
    """Return the sum of the linear light of a picture."""
    return float(srgb_to_linear(image).sum(dtype=torch.float64))


def score(found: Tensor, truth: Tensor, signed: Tensor) -> dict[str, float]:
    """Return PSNR in dB and SSIM of [H,W,3] sRGB, 8 bit, and by how many % there is too much light.

    NaN where a kind of edge is not there.
    """
    out, wanted = (image.clamp(0, 1).numpy() for image in (found, truth))
    out = np.round(out * 255) / 255
    square = (out - wanted) ** 2
    ssim = structural_similarity(
        out, wanted, channel_axis=-1, data_range=1.0, gaussian_weights=True, sigma=1.5
    )
    light = 100 * (energy(torch.from_numpy(out)) / energy(truth) - 1)
    row = {"psnr": decibel(square), "ssim": float(ssim), "light": light}
    for name, mask in edge_masks(signed.numpy()).items():
        row[name] = decibel(square[mask]) if mask.any() else math.nan
    return row


def decibel(square: np.ndarray) -> float:
    """Return the PSNR of squared errors of values 0…1."""
    return -10 * math.log10(max(square.mean(), 1e-12))


def edge_masks(signed: np.ndarray) -> dict[str, np.ndarray]:
    """Return the pixels [H,W] within two radii of depth edges, and within one of either kind.

    A depth edge is a step of more than 1 px of defocus between neighbours; its radius is that of
    its blurrier side.
    """
    masks = {name: np.zeros(signed.shape, bool) for name in EDGES}
    radii = {name: np.zeros(signed.shape, np.float32) for name in EDGES[1:]}
    for axis in (0, 1):
        a, b = np.moveaxis(signed, axis, 0)[:-1], np.moveaxis(signed, axis, 0)[1:]
        near, far = np.abs(np.maximum(a, b)), np.abs(np.minimum(a, b))
        step = np.abs(a - b) > 1
        for name, chosen in ((EDGES[1], near > far), (EDGES[2], near <= far)):
            reach = np.where(step & chosen, np.maximum(near, far), 0)
            for rows in (np.moveaxis(radii[name], axis, 0)[side] for side in BOTH_SIDES):
                np.maximum(rows, reach, out=rows)
    for name, field in radii.items():
        for radius in np.unique(np.ceil(field[field > 0])):
            away = distance_transform_edt(np.ceil(field) != radius)
            masks[name] |= away <= radius
            masks["edge"] |= away <= 2 * radius
    return masks
