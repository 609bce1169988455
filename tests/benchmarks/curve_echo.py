# SPDX-License-Identifier: Apache-2.0
"""What two processes reach over CURVE with nothing else to do: the floor of the bulk channel's figures.

    with CurveEcho() as echo:
        rate = echo.up(total=64 << 20, chunk=512 << 10, window=4 << 20)

Up: chunks to the other process, each answered with a few bytes. Down: a few bytes, each answered with a chunk. So
many bytes are under way as the window allows, as in the server's protocol. Frames are not copied by Python. A byte
crosses once; in an echo to the letter (`back`) it crosses twice, which halves the rate and more.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import zmq

from blender_addon.client import ServerAddress
from server.broker.sessions.auth import new_key_pair
from tests.benchmarks.raw_client import dealer

ROOT = Path(__file__).resolve().parents[2]
_BACK = b"back"


class CurveEcho:
    """The other process, from `with` until its end. Rates are bytes a second."""

    def __enter__(self) -> CurveEcho:
        command = [sys.executable, "-m", "tests.benchmarks.curve_echo"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port, public = self._process.stdout.readline().split()
        keys = new_key_pair()
        address = ServerAddress("127.0.0.1", int(port), int(port), public, keys.public, keys.secret)
        self._context = zmq.Context()
        self._socket = dealer(self._context, address.ctl_endpoint, address)
        self.round_trip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()
        self._context.term()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def round_trip(self) -> float:
        """Seconds of one small message and its small answer."""
        start = time.perf_counter()
        self._socket.send_multipart([b"0", b""])
        self._socket.recv_multipart()
        return time.perf_counter() - start

    def up(self, total: int, chunk: int, window: int) -> float:
        data = memoryview(os.urandom(chunk))
        return self._transfer([b"0", data], max(1, total // chunk), window // chunk) * chunk

    def down(self, total: int, chunk: int, window: int) -> float:
        return self._transfer([str(chunk).encode(), b""], max(1, total // chunk), window // chunk) * chunk

    def back(self, total: int, chunk: int, window: int) -> float:
        """Each chunk goes there and comes back, and counts once."""
        data = memoryview(os.urandom(chunk))
        return self._transfer([_BACK, data], max(1, total // chunk), window // chunk) * chunk

    def kept(self, room: npt.NDArray[np.uint8], chunk: int, window: int) -> float:
        """As `down`, and what comes is hashed and copied into `room`: the least that any receiver of files must do."""
        view, digest, offset = memoryview(room), hashlib.sha256(), 0

        def keep(frames: list[zmq.Frame]) -> None:
            nonlocal offset
            view[offset : offset + chunk] = frames[-1].buffer
            digest.update(view[offset : offset + chunk])
            offset += chunk

        frames = [str(chunk).encode(), b""]
        return self._transfer(frames, len(view) // chunk, window // chunk, keep) * chunk

    def _transfer(
        self,
        frames: list[bytes | memoryview],
        count: int,
        together: int,
        then: Callable[[list[zmq.Frame]], None] = lambda frames: None,
    ) -> float:
        """Messages a second."""
        start = time.perf_counter()
        for sent in range(count):
            if sent >= together:
                then(self._socket.recv_multipart(copy=False))
            self._socket.send_multipart(frames, copy=False)
        for _ in range(min(count, together)):
            then(self._socket.recv_multipart(copy=False))
        return count / (time.perf_counter() - start)


def main() -> int:
    """Answer until standard input ends: the first frame says how many bytes are wanted, or the same ones."""
    keys = new_key_pair()
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    socket.curve_server = True
    socket.curve_secretkey = keys.secret.encode()
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    sys.stdout.write(f"{port} {keys.public}\n")
    sys.stdout.flush()
    chunk = memoryview(os.urandom(1 << 20))
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    while not any(ready != socket for ready, _event in poller.poll()):
        rid, wanted, data = socket.recv_multipart(copy=False)
        answer = data if wanted.bytes == _BACK else chunk[: int(wanted.bytes)]
        socket.send_multipart([rid, answer], copy=False)
    socket.close()
    context.term()
    return 0


if __name__ == "__main__":
    sys.exit(main())
