# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the broker: real children, spawned by the real executor, over real sockets."""

from __future__ import annotations

import json
import time
from pathlib import Path

import zmq

from server.children.local_executor import LocalExecutor
from server.children.messages import Beat, Ready, pack, unpack
from server.children.settings import ChildSettings
from server.config import ServerPaths


class FakeBroker:
    """One child and its socket."""

    start_seconds = 60.0

    def __init__(self, paths: ServerPaths, role: str, **settings) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        public, secret = zmq.curve_keypair()
        self.socket.curve_server = True
        self.socket.curve_secretkey = secret
        self.socket.curve_publickey = public
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        own_public, own_secret = zmq.curve_keypair()
        self.settings = ChildSettings(
            endpoint=f"tcp://127.0.0.1:{port}",
            server_public=public.decode(),
            own_public=own_public.decode(),
            own_secret=own_secret.decode(),
            role=role,
            index=0,
            data_dir=str(paths.root),
            device="cpu",
            **settings,
        )
        self.child = LocalExecutor(paths).spawn(role, 0)
        self.child.stdin.write(json.dumps(self.settings.as_dict()).encode() + b"\n")
        self.child.stdin.flush()
        self.identity = b""
        self.ready = self.wait_for(Ready, self.start_seconds)

    def send(self, message) -> None:
        self.socket.send_multipart([self.identity, pack(message)])

    def receive(self, seconds: float):
        """The next message and its payload; (None, None) after `seconds`."""
        if not self.socket.poll(seconds * 1000):
            return None, None
        self.identity, data, *payload = self.socket.recv_multipart()
        return unpack(data), payload[0] if payload else None

    def wait_for(self, kind, seconds: float = 30):
        """The next message of a kind; others are dropped."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            message, _ = self.receive(0.5)
            if isinstance(message, kind):
                return message
            if message is None and self.child.poll() is not None:
                break
        log = Path(self.settings.data_dir) / "logs" / f"{self.settings.role}-0.stderr"
        raise AssertionError(f"no {kind.__name__}; exit code {self.child.poll()}; {log.read_text()[-2000:]}")

    def hang_up(self) -> None:
        """What a child sees of a broker that died."""
        self.child.stdin.close()

    def exit_code(self, seconds: float = 20) -> int | None:
        deadline = time.monotonic() + seconds
        while self.child.poll() is None and time.monotonic() < deadline:
            self.receive(0.05)
        return self.child.poll()

    def close(self) -> None:
        self.child.kill()
        while self.child.poll() is None:
            time.sleep(0.01)
        self.child.stdin.close()
        self.socket.close(linger=0)
        self.context.term()


__all__ = ["Beat", "FakeBroker"]
