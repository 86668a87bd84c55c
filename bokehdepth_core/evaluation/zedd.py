"""The ZEDD data set on disk: real focus and aperture brackets with depth from a LiDAR.

Zuo et al., "Zero-Shot Depth from Defocus", 2026 (arXiv 2603.26658), CC BY 4.0: 100 scenes, each at
9 focus distances from 0.82 to 8.10 m and 6 apertures. Depth is public for the split `val`.

    ZEDD/metadata.txt                            run_1 <tab> 6D3E <tab> 0.82   (focus distance, m)
    ZEDD/val/val_0001/focus_stack/img_run_1_motor_6D3E_aperture_F1.4.jpg
    ZEDD/val/val_0001/gt/depth.npy               metres along the axis
    ZEDD/val/val_0001/gt/K.txt                   intrinsics, 3 x 3, px of depth.npy
"""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ..checks import check_number
from ..files.depth.reading import read_depth_file
from ..files.pictures.images import read_image

HOW_TO_GET = (
    "Download and unpack huggingface.co/datasets/venkatsubra/ZEDD (CC BY 4.0), and give the folder "
    "that holds metadata.txt"
)
SHARP = 16.0  # f-number of the pictures taken for sharp everywhere
APERTURES = (1.4, 2.0, 2.8, 4.0, 5.6)
_PICTURE = re.compile(r"img_run_(\d+)_motor_([0-9A-Fa-f]+)_aperture_F(\d+(?:\.\d+)?)\.jpg")


@dataclass(frozen=True)
class ZeddScene:
    """One scene on disk; nothing is read until asked for.

    Attributes:
        name: of its folder.
        pictures: path by run and f-number.
        depth: path of the true depth.
        focal_length_px: of `depth`, px.
        distances: focus distance by run, m.
    """

    name: str
    pictures: dict[tuple[int, float], Path]
    depth: Path
    focal_length_px: float
    distances: dict[int, float]

    @property
    def runs(self) -> list[int]:
        """The runs from near to far focus."""
        return sorted({run for run, _ in self.pictures}, key=self.distances.__getitem__)

    def picture(self, run: int, f_number: float, height: int) -> Tensor:
        """Return one picture, [height,W,3], sRGB.

        Raises:
            FileNotFoundError: the scene lacks it.
        """
        path = self.pictures.get((run, f_number))
        if path is None:
            raise FileNotFoundError(f"{self.name}: no picture of run {run} at f/{f_number:g}.")
        image = read_image(path)
        width = int(image.shape[1] * height / image.shape[0])
        if image.shape[0] == height:
            return image
        planes = image.permute(2, 0, 1)[None]
        small = functional.interpolate(
            planes, (height, width), mode="bicubic", align_corners=False, antialias=True
        )
        return small[0].permute(1, 2, 0).clamp(0, 1)

    def truth(self, size: tuple[int, int]) -> Tensor:
        """Return the true depth, [1,H,W], m, by the nearest pixel; infinite where not measured."""
        found = read_depth_file(self.depth, values="metres", holes="far").depth.depth
        small = functional.interpolate(found[None].float(), size, mode="nearest-exact")[0]
        return small

    def focal_length_at(self, height: int) -> float:
        """Return the focal length in px of pictures of a height."""
        rows = read_depth_file(self.depth, values="metres", holes="far").depth.depth.shape[1]
        return self.focal_length_px * height / rows


def find_scenes(folder: Path, split: str = "val") -> list[ZeddScene]:
    """Return the scenes of a split, by name.

    Args:
        folder: of the data set.
        split: "val"; the depth of "test" is not public.

    Raises:
        FileNotFoundError: no data set there.
        ValueError: a file that does not hold what it should.
    """
    metadata = folder / "metadata.txt"
    if not metadata.is_file():
        raise FileNotFoundError(f"{folder}: no metadata.txt there. {HOW_TO_GET}.")
    distances = _focus_distances(metadata)
    root = folder / split
    scenes = [
        _scene(one, distances)
        for one in (sorted(root.iterdir()) if root.is_dir() else ())
        if (one / "gt" / "depth.npy").is_file()
    ]
    if not scenes:
        raise FileNotFoundError(f"{root}: no scene with gt/depth.npy there. {HOW_TO_GET}.")
    return scenes


def _focus_distances(path: Path) -> dict[int, float]:
    """Return the focus distance of every run, m."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"run_(\d+)\s+[0-9A-Fa-f]+\s+(\S+)", line.strip())
        if match is None:
            raise ValueError(
                f'{path.name}: line {number}: expected "run_1, motor, metres" between tabs, found '
                f"{line.strip()[:60]!r}."
            )
        found[int(match[1])] = check_number(float(match[2]), path.name, above=0)
    return found


def _scene(folder: Path, distances: dict[int, float]) -> ZeddScene:
    pictures = {}
    for path in sorted((folder / "focus_stack").glob("*.jpg")):
        match = _PICTURE.fullmatch(path.name)
        if match is None:
            continue
        if int(match[1]) not in distances:
            raise ValueError(f"{path.name}: metadata.txt has no run_{match[1]}.")
        pictures[int(match[1]), float(match[3])] = path
    return ZeddScene(
        folder.name,
        pictures,
        folder / "gt" / "depth.npy",
        _focal_length(folder / "gt" / "K.txt"),
        distances,
    )


def _focal_length(path: Path) -> float:
    """Return the mean of fx and fy, px, of a file with 3 x 3 numbers."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [[float(one) for one in line.split()] for line in lines]
        values = torch.tensor([row for row in rows if row])
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: cannot read 3 x 3 numbers: {error}.") from None
    if values.shape != (3, 3):
        raise ValueError(f"{path}: expected 3 x 3 numbers, found {list(values.shape)}.")
    return check_number(float(values.diagonal()[:2].mean()), "K.txt", above=0)
