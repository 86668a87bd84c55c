"""What a zipped weight file may hold, checked from its table of contents before anything is read.

`torch.save` stores every entry as it is, so that weights can be mapped. A compressed entry would be
mapped as wrong numbers, or unpacked to any size; an encrypted one cannot be read.
"""

import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from ..files.zips import open_zip
from .errors import MOST_KEYS, CheckpointError
from .pickles import check_steps

MOST_PICKLE = 4 << 20  # bytes; that of the largest published network has 0.2 MB
_SCRIPT = "constants.pkl"  # by which torch.load knows archives that it gives to torch.jit.load
_ENCRYPTED = 1  # flag of a zip entry


def check_archive(file: Path) -> None:
    """Check that a zipped weight file is as `torch.save` writes it.

    Raises:
        CheckpointError: too many tensors, compressed or encrypted entries, ones larger than the
            file, or a description of the weights that is too large, or a TorchScript archive.
    """
    size = file.stat().st_size
    try:
        with open_zip(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise CheckpointError(f"{file.name}: damaged ({str(error)[:120]}). Get it again.") from None
    if any(entry.filename.split("/")[-1] == _SCRIPT for entry in entries):
        raise CheckpointError(
            f"{file.name}: refused, it is a TorchScript archive, which holds code beside weights. "
            "Save its state_dict, or use a .safetensors file."
        )
    stored = sum("/data/" in entry.filename for entry in entries)
    if stored > MOST_KEYS:
        raise CheckpointError(f"{file.name}: {stored} tensors; no network here has {MOST_KEYS}.")
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise _refused(file, entry, "is encrypted")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise _refused(file, entry, "is compressed, and weights are stored as they are")
        if entry.filename.endswith(".pkl") and entry.file_size > MOST_PICKLE:
            raise _refused(file, entry, f"has {entry.file_size / 1e6:.0f} MB")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(
            f"{file.name}: refused, its entries claim more than its {size} bytes. Get it again."
        )
    _check_descriptions(file, [one for one in entries if one.filename.endswith(".pkl")])


def _check_descriptions(file: Path, entries: Iterable[zipfile.ZipInfo]) -> None:
    """Check what reading the pickles in a weight file would take."""
    with open_zip(file) as archive:
        for entry in entries:
            try:
                with archive.open(entry) as opened:
                    check_steps(opened)
            except OverflowError as error:
                raise too_much(file, error) from None
            except (zipfile.BadZipFile, EOFError, OSError) as error:
                reason = str(error)[:120]
                raise CheckpointError(f"{file.name}: damaged ({reason}). Get it again.") from None


def too_much(file: Path, error: OverflowError) -> CheckpointError:
    """Return the error of a weight file whose pickle takes too much to read."""
    return CheckpointError(f"{file.name}: refused, {error}. Get the file from its authors.")


def check_storages(file: Path, tensors: Iterable[Tensor]) -> None:
    """Check that the weights that were mapped from an archive lie in entries of their size.

    A mapped entry that is shorter than its weights would go on in the bytes of the next one.

    Raises:
        CheckpointError: weights of a size that no entry has.
    """
    if not zipfile.is_zipfile(file):
        return
    with open_zip(file) as archive:
        there = Counter(one.file_size for one in archive.infolist() if "/data/" in one.filename)
    storages = (tensor.untyped_storage() for tensor in tensors)
    held = Counter({one.data_ptr(): one.nbytes() for one in storages if one.nbytes()}.values())
    lacking = held - there
    if lacking:
        raise CheckpointError(
            f"{file.name}: damaged (weights of {max(lacking)} bytes, and no entry of that size). "
            "Get it again."
        )


def _refused(file: Path, entry: zipfile.ZipInfo, why: str) -> CheckpointError:
    return CheckpointError(
        f"{file.name}: refused, its entry {entry.filename[:80]!r} {why}. Save it again with "
        "torch.save, or use a .safetensors file."
    )
