"""A hub that is silent, lies about sizes, names no checksum, or sends elsewhere."""

import hashlib
import threading
import time

import pytest
from fake_hub import serving

from bokehdepth_core.weights.download import CHUNK_BYTES, download_hub_file
from bokehdepth_core.weights.transfer import RefusedError, check_location

CONTENT = bytes(range(256)) * (2 * CHUNK_BYTES // 256) + b"tail"


class StoppedError(Exception):
    """What a host raises to stop the work."""


@pytest.fixture
def hub():
    with serving(CONTENT) as handler:
        yield handler


@pytest.fixture
def silence():
    """An event that a silent server waits for; set in the end."""
    event = threading.Event()
    yield event
    event.set()


def fetch(hub, folder, **options):
    return download_hub_file(
        "owner/repo", "weights.bin", folder, endpoint=hub.address, token=False, **options
    )


def refused(hub, folder, match):
    """Let a download be refused in one line with the file and the host, and leave nothing."""
    with pytest.raises(ValueError, match=match) as caught:
        fetch(hub, folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("weights.bin: ")
    assert "127.0.0.1" in message
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("where", ["HEAD", "GET", "body"])
def test_a_silent_server_is_cancelled_within_a_second(hub, tmp_path, silence, where):
    begun = threading.Event()

    def be_silent(method=None):
        if method in (None, where):
            begun.set()
            silence.wait(60)

    if where == "body":
        hub.meanwhile = be_silent
    else:
        hub.begins = be_silent
    stopped_at = []

    def stop():
        if begun.is_set() and stopped_at:
            raise StoppedError
        if begun.is_set():
            stopped_at.append(time.monotonic())

    with pytest.raises(StoppedError):
        fetch(hub, tmp_path, check_cancelled=stop)
    assert time.monotonic() - stopped_at[0] < 1.0
    silence.set()
    hub.begins = hub.meanwhile = None
    assert fetch(hub, tmp_path).read_bytes() == CONTENT
    assert [one.name for one in tmp_path.iterdir()] == ["weights.bin"]


@pytest.mark.parametrize("size", ["0", None, "-5"])
def test_a_size_that_cannot_be_is_refused_before_the_transfer(hub, tmp_path, size):
    hub.announced = size
    refused(hub, tmp_path, r"announces (no size|a size of \S+ bytes) for it")
    assert hub.ranges == []


@pytest.mark.parametrize("states_length", [True, False])
def test_a_body_longer_than_announced_is_refused(hub, tmp_path, states_length):
    hub.body, hub.states_length = CONTENT + b"more", states_length
    refused(hub, tmp_path, "sends more than the 2097156 bytes that were announced")


def test_a_body_without_end_is_left_at_the_announced_size(hub, tmp_path):
    hub.body, hub.states_length = CONTENT * 40, False  # 80 MB; nothing of it is kept
    begin = time.monotonic()
    refused(hub, tmp_path, "sends more than")
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("states_length", [True, False])
def test_a_body_shorter_than_announced_is_no_file(hub, tmp_path, states_length):
    hub.body, hub.states_length = CONTENT[:-1], states_length
    with pytest.raises(ConnectionError, match=r"weights\.bin: .* broke off .* from 127\.0\.0\.1"):
        fetch(hub, tmp_path)
    assert [one.suffix for one in tmp_path.iterdir()] == [".partial"]
    hub.body = None
    assert fetch(hub, tmp_path).read_bytes() == CONTENT


def test_a_hub_without_a_checksum_is_refused(hub, tmp_path):
    hub.served_etag = "abc"
    refused(hub, tmp_path, "announces no checksum")
    assert hub.ranges == []


def test_the_checksum_of_small_files_is_gits(hub, tmp_path):
    hub.served_etag = "0" * 40
    with pytest.raises(ValueError, match=r"is damaged .* from 127\.0\.0\.1"):
        fetch(hub, tmp_path)
    assert list(tmp_path.iterdir()) == []
    hub.served_etag = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    assert fetch(hub, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/weights.bin"])
def test_a_store_that_sends_to_no_web_address_is_refused(hub, tmp_path, address):
    hub.moved = address
    refused(hub, tmp_path, rf"127\.0\.0\.1 sends to an address of the kind '{address[:3]}")


@pytest.mark.parametrize("address", ["file:///etc/hostname#", "file://127.0.0.1/etc/hostname#"])
def test_a_hub_that_sends_to_a_file_is_refused(hub, tmp_path, address):
    hub.elsewhere = address
    # huggingface_hub before 1.0 takes an address without a host for a name on the hub itself.
    with pytest.raises((ValueError, OSError), match=r"^weights\.bin: .*(file:|not found|reached)"):
        fetch(hub, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_without_end_is_refused(hub, tmp_path):
    hub.moved = hub.address + "/again"
    with pytest.raises(ConnectionError, match=r"weights\.bin: .* broke off after 0\.0"):
        fetch(hub, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://hub/a", "http://store/a"),
        ("https://hub/a", "http://hub/a"),
        ("https://hub/a", "file:///a"),
        ("http://hub/a", "data:,a"),
        ("http://hub/a", "file:/a"),
    ],
)
def test_what_a_server_must_not_send_to(before, after):
    with pytest.raises(RefusedError, match=r"^hub sends to "):
        check_location(after, before)


@pytest.mark.parametrize("after", ["https://store/a", "/b", "//store/a", "b?c"])
def test_what_a_server_may_send_to(after):
    check_location(after, "https://hub/a")


def test_the_part_of_another_version_goes(hub, tmp_path):
    old, other = tmp_path / f"weights.bin.{'0' * 16}.partial", tmp_path / "other.bin.partial"
    old.write_bytes(b"half")
    other.write_bytes(b"half")
    fetch(hub, tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other.bin.partial", "weights.bin"]


def test_a_part_with_wrong_bytes_does_not_become_the_file(hub, tmp_path):
    part = tmp_path / f"weights.bin.{hub.served_etag[:16]}.partial"
    part.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="is damaged"):
        fetch(hub, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert fetch(hub, tmp_path).read_bytes() == CONTENT
