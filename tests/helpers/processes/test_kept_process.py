"""A server that the tests started ends with them, also when they are killed."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

KEPT = Path(__file__).with_name("kept_process.py")
SERVER = "import socket, time; s = socket.create_connection(('127.0.0.1', {})); time.sleep(600)"
# What pytest does: it starts the kept process, and is then busy with something else.
TESTS = """
import subprocess, sys, time
kept = subprocess.Popen([sys.executable, {!r}, sys.executable, "-c", {!r}], stdin=subprocess.PIPE)
time.sleep(600)
"""


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_what_is_kept_ends_when_its_starter_is_killed(end):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(120)
        server = SERVER.format(listener.getsockname()[1])
        starter = subprocess.Popen([sys.executable, "-c", TESTS.format(str(KEPT), server)])
        try:
            connection, _ = listener.accept()  # the server runs
        finally:
            getattr(starter, end)()
            starter.wait(60)
        with connection:
            connection.settimeout(120)
            with contextlib.suppress(ConnectionResetError):  # how Windows says it
                assert connection.recv(1) == b""  # closed: the server has ended


def test_the_exit_code_is_the_command_s():
    command = [sys.executable, KEPT, sys.executable, "-c", "import sys; sys.exit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as kept:
        assert kept.wait(60) == 7
