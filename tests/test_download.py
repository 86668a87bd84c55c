"""Downloads against a local hub that breaks off, lies, refuses, or is not there."""

import hashlib
import http.server
import threading

import pytest

from bokehdepth_core.download import CHUNK_BYTES, download_hub_file

CONTENT = bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"tail"


class FakeHub(http.server.BaseHTTPRequestHandler):
    """Speaks the part of the hub's protocol that resolves and serves one file."""

    content = CONTENT
    served_etag = hashlib.sha256(CONTENT).hexdigest()
    break_after: int | None = None
    gated = False
    ranges: list[str | None]

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._head()

    def _head(self):
        if self.gated:
            self.send_response(403)
            self.send_header("X-Error-Code", "GatedRepo")
        elif "/weights.bin" not in self.path:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
        else:
            self.send_response(200)
            self.send_header("ETag", '"git"')
            self.send_header("X-Linked-Etag", f'"{self.served_etag}"')
            self.send_header("X-Linked-Size", str(len(self.content)))
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(self.content)))
            self.end_headers()
            return
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        body = self.content[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.break_after is None else body[: self.break_after])


@pytest.fixture
def hub():
    handler = type("Hub", (FakeHub,), {"ranges": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    handler.address = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    server.server_close()


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

    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 2:
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
    with pytest.raises(ConnectionError, match=rf"by hand .* put it into {tmp_path}"):
        fetch(hub, tmp_path)
    assert list(tmp_path.iterdir()) == []
