"""Processes of a launcher find one another, also on a machine without GPU."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("accelerate")
ROOT = Path(__file__).parents[2]
LOOK = """
from bokehdepth_core.training.processes import this_process
found = this_process()
found.wait()
print(found.index, found.count, found.is_main)
"""


def test_two_processes_know_of_each_other_without_a_gpu():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared |= {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", LOOK],
            cwd=ROOT,
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [one.communicate(timeout=120)[0].split() for one in running]
    assert said == [["0", "2", "True"], ["1", "2", "False"]]
