"""A model hub on this machine that serves one file, and breaks off, lies or refuses when told."""

import hashlib
import http.server
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress


class FakeHub(http.server.BaseHTTPRequestHandler):
    """Speaks the part of the hub's protocol that resolves and serves one file."""

    name = "weights.bin"
    content = b""
    served_etag = ""
    break_after: int | None = None
    gated = False
    resumes = True
    elsewhere: str | None = None  # address of the store that the file lies in
    meanwhile: Callable[[], object] | None = None  # called while the file is sent
    begins: Callable[[str], object] | None = None  # called with the method before any answer
    announced: str | None = ""  # the size that is announced; "" for the true one, None for none
    body: bytes | None = None  # what is sent, where that is not the content
    states_length = True  # of the body
    moved: str | None = None  # where a GET is sent to
    ranges: list[str | None]
    tokens: list[str | None]

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._begin()
        self._head()

    def _begin(self):
        if self.begins is not None:
            type(self).begins(self.command)

    def _head(self):
        if self.gated:
            self.send_response(403)
            self.send_header("X-Error-Code", "GatedRepo")
        elif f"/{self.name}" not in self.path:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
        else:
            self.send_response(302 if self.elsewhere else 200)
            if self.elsewhere:
                self.send_header("Location", self.elsewhere + self.path)
            self.send_header("ETag", '"git"')
            self.send_header("X-Linked-Etag", f'"{self.served_etag}"')
            size = str(len(self.content)) if self.announced == "" else self.announced
            if size is not None:
                self.send_header("X-Linked-Size", size)
                empty = self.elsewhere or size.startswith("-")  # which no client takes as a length
                self.send_header("Content-Length", "0" if empty else size)
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            return
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self._begin()
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        self.tokens.append(self.headers.get("Authorization"))
        if self.moved is not None:
            self.send_response(302)
            self.send_header("Location", self.moved)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = asked if self.resumes else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        body = (self.content if self.body is None else self.body)[start:]
        self.send_response(206 if asked else 200)
        if self.states_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = body if self.break_after is None else body[: self.break_after]
        half = len(body) // 2
        self.wfile.write(body[:half])
        self.wfile.flush()
        if self.meanwhile is not None:
            type(self).meanwhile()
        with suppress(ConnectionError):  # who asked has gone away
            self.wfile.write(body[half:])


@contextmanager
def serving(content, name="weights.bin"):
    """Run a hub that serves `content`; yields its handler class, with its `address`."""
    etag = hashlib.sha256(content).hexdigest()
    facts = {"name": name, "content": content, "served_etag": etag, "ranges": [], "tokens": []}
    handler = type("Hub", (FakeHub,), facts)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.address = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    server.block_on_close = False  # one that is silent still waits
    server.server_close()
