"""Downloads against a local hub that breaks off, lies, refuses, or is not there."""

import itertools
import re
import time
from types import SimpleNamespace

import pytest
from fake_hub import serving

from bokehdepth_core.weights import download
from bokehdepth_core.weights.download import CHUNK_BYTES, download_hub_file

CONTENT = bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"tail"


@pytest.fixture
def hub():
    with serving(CONTENT) as handler:
        yield handler


def fetch(hub, folder, name="weights.bin", **options):
    return download_hub_file(
        "owner/repo", name, folder, endpoint=hub.address, token=False, **options
    )


def test_a_file_arrives_whole_with_progress_and_no_leftovers(hub, tmp_path):
    steps = []
    path = fetch(hub, tmp_path / "new", on_progress=lambda *step: steps.append(step))
    assert path.read_bytes() == CONTENT
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert [one.name for one in path.parent.iterdir()] == ["weights.bin"]
    assert fetch(hub, tmp_path / "new") == path
    assert len(hub.ranges) == 1  # a file that is here is not fetched again


def test_a_broken_download_goes_on_where_it_stopped(hub, tmp_path):
    hub.break_after = CHUNK_BYTES + 10
    with pytest.raises(ConnectionError, match=r"weights.bin: the download broke off after 1\.0"):
        fetch(hub, tmp_path)
    assert not (tmp_path / "weights.bin").exists()
    hub.break_after = None
    assert fetch(hub, tmp_path).read_bytes() == CONTENT
    resumed_at = int(hub.ranges[-1].removeprefix("bytes=").removesuffix("-"))
    assert resumed_at >= CHUNK_BYTES


def test_cancelling_keeps_the_part_that_arrived(hub, tmp_path):
    class StoppedError(Exception):
        pass

    def stop():
        if any(one.stat().st_size for one in tmp_path.glob("*.partial")):
            raise StoppedError

    with pytest.raises(StoppedError):
        fetch(hub, tmp_path, check_cancelled=stop)
    assert [one.suffix for one in tmp_path.iterdir()] == [".partial"]
    assert fetch(hub, tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_removed(hub, tmp_path):
    hub.served_etag = "0" * 64
    with pytest.raises(ValueError, match=r"weights.bin: the download is damaged .* removed"):
        fetch(hub, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_gated_missing_and_unreachable_say_what_to_do(hub, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"other.bin: not found in owner/repo"):
        fetch(hub, tmp_path, "other.bin")
    hub.gated = True
    with pytest.raises(PermissionError, match=r"gated\. Accept its licence .* `hf auth login`"):
        fetch(hub, tmp_path)
    hub.address = "http://127.0.0.1:9"  # the discard port: nobody listens
    with pytest.raises(
        ConnectionError, match=rf"by hand .* put it into {re.escape(str(tmp_path))}"
    ):
        fetch(hub, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_too_long_is_begun_again(hub, tmp_path):
    hub.break_after = 10
    with pytest.raises(ConnectionError):
        fetch(hub, tmp_path)
    (part,) = tmp_path.iterdir()
    part.write_bytes(CONTENT + b"more")
    hub.break_after = None
    assert fetch(hub, tmp_path).read_bytes() == CONTENT


def test_a_server_that_cannot_resume_sends_all_of_it_again(hub, tmp_path):
    hub.break_after, hub.resumes = CHUNK_BYTES + 10, False
    with pytest.raises(ConnectionError):
        fetch(hub, tmp_path)
    hub.break_after = None
    assert fetch(hub, tmp_path).read_bytes() == CONTENT


def test_a_second_download_of_a_file_is_refused_while_the_first_runs(hub, tmp_path):
    errors = []

    def fetch_too():
        hub.meanwhile = None
        try:
            fetch(hub, tmp_path)
        except OSError as error:
            errors.append(str(error))

    hub.meanwhile = fetch_too
    assert fetch(hub, tmp_path).read_bytes() == CONTENT
    assert errors == ["weights.bin: is being downloaded already. Wait until that has ended."]
    assert [one.name for one in tmp_path.iterdir()] == ["weights.bin"]


def test_a_full_disk_is_told_before_the_transfer(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r"0\.0 GB needed and 0\.0 GB free\. Make room"):
        fetch(hub, tmp_path)
    assert hub.ranges == []


def test_the_token_goes_to_the_hub_and_to_nobody_else(hub, tmp_path):
    def fetch_with_token(folder):
        options = {"endpoint": hub.address, "token": "hf_secret"}
        return download_hub_file("owner/repo", "weights.bin", tmp_path / folder, **options)

    fetch_with_token("hub")
    assert hub.tokens == ["Bearer hf_secret"]
    with serving(CONTENT) as store:
        hub.elsewhere = store.address
        assert fetch_with_token("store").read_bytes() == CONTENT
        assert store.tokens == [None]
    assert len(hub.tokens) == 1


def test_progress_and_cancel_are_asked_while_little_arrives(hub, tmp_path):
    hub.meanwhile = lambda: time.sleep(1.5)
    asked = []
    fetch(hub, tmp_path, check_cancelled=lambda: asked.append(time.monotonic()))
    waits = [b - a for a, b in itertools.pairwise(asked)]
    assert max(waits) < 1.0  # a quarter of a second, and what a busy machine adds
    assert len(asked) > len(CONTENT) // CHUNK_BYTES
