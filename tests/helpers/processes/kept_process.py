"""Run a command that must not outlive the tests, however these end.

    python kept_process.py COMMAND ...

The command runs until whoever started this closes its standard input. The operating system does
that too when the tests are killed, on every system.
"""

import os
import subprocess
import sys
import threading

GRACE_SECONDS = 20  # to end by itself before it is killed


def _end_with_input(child: subprocess.Popen) -> None:
    while os.read(0, 1):  # not by sys.stdin, whose lock would be held when this Python ends
        pass
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_input, args=(process,), daemon=True).start()
    sys.exit(process.wait())
