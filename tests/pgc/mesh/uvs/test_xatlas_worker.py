# SPDX-License-Identifier: Apache-2.0
"""xatlas' process does not outlive the one that asked for it."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from pgc.mesh.uvs import xatlas_process
from tests.pgc import needs

SCRIPT = Path(xatlas_process.__file__).with_name("xatlas_worker.py")
STARTS = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-P", *sys.argv[1:]])
print(child.pid, flush=True)
child.wait()
"""


def open_when_read(fifo, seconds=60.0):
    """The writing end of a pipe, once somebody waits at its reading end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        time.sleep(0.02)
    raise AssertionError("nobody read the vertices")


@needs.XATLAS
@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot end a process with its parent")
def test_a_worker_that_is_killed_takes_its_xatlas_along(tmp_path):
    fifo = tmp_path / "vertices.npy"
    os.mkfifo(fifo)
    line = [sys.executable, "-c", STARTS, str(SCRIPT), "chart", str(tmp_path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        writer = open_when_read(fifo)
        parent.kill()
        try:
            # Nothing is ever written: of itself it would wait for ever.
            child.wait(20)
        finally:
            os.close(writer)
            if child.is_running():
                child.kill()


@needs.XATLAS
def test_charts_of_large_meshes_have_a_largest_area():
    """A smooth surface would become one chart, which takes minutes to flatten."""
    from pgc.mesh.uvs.xatlas_worker import largest_chart

    vertices = np.array([[0, 0, 0], [2, 0, 0], [0, 3, 0]], dtype=np.float32)
    triangle = np.array([[0, 1, 2]], dtype=np.uint32)
    assert largest_chart(vertices, np.repeat(triangle, 20_000, axis=0)) == 0.0
    assert largest_chart(vertices, np.repeat(triangle, 20_001, axis=0)) == pytest.approx(0.05 * 3.0 * 20_001)
