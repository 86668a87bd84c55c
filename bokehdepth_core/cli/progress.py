"""The progress bar of the command line."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..callbacks import OnProgress


@contextmanager
def progress_bar(label: str) -> Iterator[OnProgress]:
    """Show a bar while the block runs; yields its `on_progress`."""
    from tqdm import tqdm

    # disable=None: no bar where the output is not a terminal.
    with tqdm(
        desc=label,
        total=1,
        leave=False,
        disable=None,
        bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}",
    ) as bar:

        def on_progress(done: int, total: int) -> None:
            bar.total = total
            bar.n = done
            bar.refresh()

        yield on_progress
