"""Published sets of photos with measured depth, as their authors lay them out; none has stacks.

    NYUv2/bathroom/rgb_00045.jpg                    the official test split as pictures
    NYUv2/bathroom/sync_depth_00045.png             16 bits, millimetres; 0 is not measured
    NYUv2/nyu_depth_v2_labeled.mat, splits.mat      or the same split in its authors' own files
    ibims1_core_raw/rgb/corridor_01.png
    ibims1_core_raw/depth/corridor_01.png           16 bits, 65535 is 50 m; 0 is not measured
    ibims1_core_raw/mask_invalid/corridor_01.png    0 where depth is wrong
    ibims1_core_raw/mask_transp/corridor_01.png     0 on glass and the like
    ETH3D/courtyard/images/dslr_images/DSC_0286.JPG
    ETH3D/courtyard/ground_truth_depth/dslr_images/DSC_0286.JPG    no picture: float32, row by row,
                                                    little-endian, m, of the photo's size; infinite
                                                    where not measured

Nothing is downloaded: each set has terms of its own, that its users accept by themselves.

Silberman et al., "Indoor segmentation and support inference from RGBD images", ECCV 2012, in the
PNG form of the official split that Lee et al., "From big to small", arXiv 1907.10326, give out.
Koch et al., "Evaluation of CNN-based single-image depth estimation methods", ECCVW 2018: iBims-1.
Schöps et al., "A multi-view stereo benchmark with high-resolution images and multi-camera videos",
CVPR 2017: ETH3D, high-resolution, depth of the distorted photos (eth3d.net/documentation).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..checks import check_number
from ..files.depth.reading import read_depth_file
from ..files.pictures.images import read_image
from ..files.pictures.opening import open_image
from ..training.manifest import REFUSE, Report
from ..training.samples import Sample
from .depth_run import Scene
from .nyu_labeled import LABELED, official_test_photos, read_labeled

HOW_TO_GET = {
    "nyu": "cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html, official test split as pictures or "
    "its .mat files; for research",
    "ibims": "iBims-1, asg.ed.tum.de (core, raw); see the terms there",
    "eth3d": "eth3d.net/datasets, high-resolution: *_dslr_jpg.7z and *_dslr_depth.7z; CC BY-NC-SA",
}
_NYU_SIZE = (480, 640)
_EIGEN = (slice(45, 471), slice(41, 601))  # rows and columns, as Eigen et al. 2014 compare
_MILLIMETRE = 0.001
_IBIMS_UNIT = 50 / 65535  # m
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class PhotoFiles:
    """One photo of a set; nothing is read until asked for.

    Attributes:
        name: for tables and messages.
        photo: path.
        depth: path.
        masks: paths of pictures that are 0 where depth does not count.
        place: of the photo in a file of many, which is `photo` and `depth`; None in its own.
    """

    name: str
    photo: Path
    depth: Path
    masks: tuple[Path, ...] = ()
    place: int | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the photo."""
        return (self.photo, self.depth, *self.masks)


@dataclass(frozen=True)
class PhotoSet:
    """A set on disk.

    Attributes:
        kind: one of `HOW_TO_GET`.
        photos: in the order of their names.
        eigen_crop: of NYUv2, compare its middle alone, as most papers do.
        longest: px; larger photos are brought to it, their depth by the nearest pixel.
    """

    kind: str
    photos: tuple[PhotoFiles, ...]
    eigen_crop: bool = False
    longest: int | None = None

    def __getitem__(self, index: int) -> Scene:
        """Return one photo with its depth.

        Raises:
            ValueError: an unreadable file, sizes that differ, or nothing measured.
        """
        one = self.photos[index]
        if one.place is not None:
            photo, depth = read_labeled(one.photo, one.place)
        else:
            photo = read_image(one.photo)
            depth = _READERS[self.kind](one, (photo.shape[0], photo.shape[1]))
        known = torch.isfinite(depth) & (depth > 0)
        for mask in one.masks:
            known &= _mask(mask, depth.shape)
        if self.eigen_crop:
            known &= _eigen(depth.shape, one)
        if not known.any():
            raise ValueError(f"{one.name}: no pixel with a known depth. Leave the photo out.")
        disparity = torch.where(known, 1 / depth.clamp(min=1e-6), torch.zeros_like(depth))
        sample = Sample(photo[None], torch.zeros(1), disparity, known)
        return Scene(one.name, _no_longer(sample, self.longest))

    def scenes(self, on_bad: str = REFUSE, report: Report = lambda line: None) -> Iterator[Scene]:
        """Yield all photos, read one by one.

        Args:
            on_bad: "refuse" raises at the first that cannot be used; "skip" reports it.
            report: called with a line for each that was skipped.

        Raises:
            ValueError: with "refuse", a photo that cannot be used.
        """
        for index in range(len(self.photos)):
            try:
                yield self[index]
            except (ValueError, OSError) as error:
                if on_bad == REFUSE:
                    raise
                report(f"skipped {error}")


def find_photos(
    folder: str | Path, kind: str, *, eigen_crop: bool = False, longest: int | None = None
) -> PhotoSet:
    """Return the photos of a set that have depth.

    Args:
        folder: of the set, laid out as the module's text shows.
        kind: "nyu", "ibims" or "eth3d".
        eigen_crop: of "nyu" alone.
        longest: px, at least 32; None leaves photos as they are.

    Raises:
        FileNotFoundError: no such folder, no photo with depth in it, or a mask or split that is
            not there.
        ValueError: an unknown kind, a crop of another set, or .mat files that cannot be read.
    """
    if kind not in HOW_TO_GET:
        raise ValueError(f"kind: expected {', '.join(HOW_TO_GET)}, found {kind!r}.")
    if eigen_crop and kind != "nyu":
        raise ValueError("eigen_crop: is of NYUv2 alone. Leave it out.")
    if longest is not None:
        check_number(longest, "longest", 32)
    root = Path(folder)
    photos = tuple(_FINDERS[kind](root)) if root.is_dir() else ()
    if not photos:
        raise FileNotFoundError(
            f"{root}: no photos with depth laid out as {kind} is. Get it from {HOW_TO_GET[kind]}."
        )
    for one in photos:
        for mask in one.masks:
            if not mask.is_file():
                raise FileNotFoundError(f"{mask}: no such mask. Unpack the whole set again.")
    return PhotoSet(kind, photos, eigen_crop, longest)


def _find_nyu(root: Path) -> Iterator[PhotoFiles]:
    labeled = root / LABELED
    if labeled.is_file():
        for index in official_test_photos(labeled):
            yield PhotoFiles(f"{index + 1:05d}", labeled, labeled, place=index)
        return
    for photo in sorted(root.glob("*/rgb_*.jpg")):
        number = photo.stem.removeprefix("rgb_")
        depth = photo.with_name(f"sync_depth_{number}.png")
        if depth.is_file():
            yield PhotoFiles(f"{photo.parent.name}/{number}", photo, depth)


def _find_ibims(root: Path) -> Iterator[PhotoFiles]:
    for photo in sorted(root.glob("rgb/*.png")):
        depth = root / "depth" / photo.name
        if depth.is_file():
            masks = tuple(root / one / photo.name for one in ("mask_invalid", "mask_transp"))
            yield PhotoFiles(photo.stem, photo, depth, masks)


def _find_eth3d(root: Path) -> Iterator[PhotoFiles]:
    inside = Path("images", "dslr_images")
    for photo in sorted([*root.glob(f"{inside}/*.JPG"), *root.glob(f"*/{inside}/*.JPG")]):
        scene = photo.parents[2]
        depth = scene / "ground_truth_depth" / "dslr_images" / photo.name
        if depth.is_file():
            yield PhotoFiles(f"{scene.resolve().name}/{photo.stem}", photo, depth)


def _png_depth(unit: float) -> Callable[[PhotoFiles, tuple[int, int]], Tensor]:
    def read(one: PhotoFiles, size: tuple[int, int]) -> Tensor:
        found = read_depth_file(one.depth, unit, values="metres", holes="far").depth.depth[0]
        _check_size(one.depth, tuple(found.shape), size)
        return found

    return read


def _float_depth(one: PhotoFiles, size: tuple[int, int]) -> Tensor:
    """Return the numbers of a file without any header, [h,w], m."""
    wanted = _FLOAT_BYTES * size[0] * size[1]
    length = one.depth.stat().st_size
    if length != wanted:
        raise ValueError(
            f"{one.depth}: {length} bytes, expected {wanted} for float32 depth of the photo's "
            f"{size[0]}x{size[1]} px. Give the distorted photos (*_dslr_jpg.7z)."
        )
    numbers = np.fromfile(one.depth, "<f4").reshape(size)
    return torch.from_numpy(numbers.astype(np.float32))


def _mask(path: Path, size: torch.Size) -> Tensor:
    """Return where a picture is not 0, [h,w] bool."""
    with open_image(path) as image:
        _check_size(path, (image.height, image.width), (size[0], size[1]))
        return torch.from_numpy(np.asarray(image.convert("L")) > 0)


def _check_size(path: Path, found: tuple[int, ...], wanted: tuple[int, int]) -> None:
    if found != wanted:
        raise ValueError(
            f"{path}: {found[0]}x{found[1]} px, its photo {wanted[0]}x{wanted[1]}. "
            "Unpack the set again."
        )


def _eigen(size: torch.Size, one: PhotoFiles) -> Tensor:
    if tuple(size) != _NYU_SIZE:
        raise ValueError(
            f"{one.name}: {size[0]}x{size[1]} px; the Eigen crop is of 480x640. Leave it out."
        )
    found = torch.zeros(size, dtype=torch.bool)
    found[_EIGEN] = True
    return found


def _no_longer(sample: Sample, longest: int | None) -> Sample:
    """Return a photo of at most that side; depth is taken, never mixed."""
    height, width = sample.disparity.shape
    if longest is None or max(height, width) <= longest:
        return sample
    scale = longest / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    pictures = functional.interpolate(
        sample.pictures.movedim(-1, 1), size, mode="bilinear", align_corners=False, antialias=True
    ).movedim(1, -1)
    planes = torch.stack([sample.disparity, sample.known.float()])[None]
    disparity, known = functional.interpolate(planes, size, mode="nearest-exact")[0]
    return replace(sample, pictures=pictures.clamp(0, 1), disparity=disparity, known=known > 0)


_FINDERS = {"nyu": _find_nyu, "ibims": _find_ibims, "eth3d": _find_eth3d}
_READERS = {
    "nyu": _png_depth(_MILLIMETRE),
    "ibims": _png_depth(_IBIMS_UNIT),
    "eth3d": _float_depth,
}
