# SPDX-License-Identifier: Apache-2.0
"""A gate or a worker that does what the job's name says, and needs no torch: `python fake_child.py`.

Names of jobs: `steps=N` that many steps; `sleep=S` seconds for each; `die=K` the process kills itself at step K;
`die-once=K` only in attempt 1; `fail` WORKER error; `hang` ignores everything; `gate-die`, `gate-hang`, `gate-no`.
"""

import hashlib
import json
import os
import signal
import threading
import time
from pathlib import Path

import msgpack
import zmq

from blender_addon.protocol.arrays import DType
from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import JobResult, MapFile
from server.broker.blobs import BlobStore
from server.broker.internal import (
    Beat,
    CancelRun,
    ChildSettings,
    GateVerdict,
    Ready,
    Run,
    Stop,
    Validate,
    WorkerCancelled,
    WorkerCheckpoint,
    WorkerDone,
    WorkerFailed,
    WorkerPreview,
    WorkerProgress,
    pack,
    unpack,
)


def main() -> None:
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1)
    settings = ChildSettings(**json.loads(line))
    threading.Thread(target=_end_with_broker, daemon=True).start()
    socket = zmq.Context().socket(zmq.DEALER)
    socket.linger = 1000
    socket.curve_serverkey = settings.server_public.encode()
    socket.curve_publickey = settings.own_public.encode()
    socket.curve_secretkey = settings.own_secret.encode()
    socket.connect(settings.endpoint)
    ready = Ready(settings.role, settings.index, os.getpid(), {"model:pocket": "installed"}, ("cpu",))
    socket.send(pack(ready))
    Child(settings, socket).run()
    socket.close()


def _end_with_broker() -> None:
    # Not through sys.stdin: its lock, held by a thread that reads, is fatal at the interpreter's end.
    while os.read(0, 4096):
        pass
    os._exit(3)


class Child:
    def __init__(self, settings: ChildSettings, socket) -> None:
        self.data = Path(settings.data_dir)
        self.store = BlobStore(self.data / "blobs")
        self.socket = socket
        self.options: dict[str, str] = {}
        self.counter = 0

    def run(self) -> None:
        while True:
            if not self.socket.poll(200):
                self.send(Beat(self.counter))
                continue
            match unpack(self.socket.recv()):
                case Validate(job=job):
                    self.read(job)
                    self.validate(job)
                case Run(job=job, attempt=attempt, resume=resume):
                    self.read(job)
                    if not self.work(job, attempt, resume):
                        return
                case Stop():
                    return
                case _:
                    pass

    def read(self, job: str) -> None:
        spec = msgpack.unpackb((self.data / "jobs" / job / "spec.msgpack").read_bytes())
        self.options = dict(part.partition("=")[::2] for part in spec["name"].split())

    def send(self, message, *payload: bytes) -> None:
        self.socket.send_multipart([pack(message), *payload])

    def validate(self, job: str) -> None:
        if "gate-die" in self.options:
            os.kill(os.getpid(), signal.SIGKILL)
        if "gate-hang" in self.options:
            time.sleep(1000)
        if "gate-no" in self.options:
            text = "index 90412, but the mesh has 31049 vertices"
            error = WireError(ErrorCode.INPUT_INVALID, Retry.CHANGED, text, "meshes[0].faces[12]")
            self.send(GateVerdict(job, False, error))
        else:
            self.send(GateVerdict(job, True))

    def work(self, job: str, attempt: int, resume: bool) -> bool:
        steps, seconds = int(self.options.get("steps", "3")), float(self.options.get("sleep", "0.01"))
        checkpoint = self.data / "jobs" / job / "checkpoint.safetensors"
        start = int(checkpoint.read_bytes()) if resume and checkpoint.is_file() else 0
        if "hang" in self.options:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(1000)
        if "fail" in self.options:
            self.send(WorkerFailed(job, attempt, WireError(ErrorCode.RES_OOM, Retry.CHANGED, "Too big.")))
            return True
        for step in range(start + 1, steps + 1):
            stop = self.step(job, attempt, step, steps, seconds)
            if stop is not None:
                if isinstance(stop, CancelRun):
                    self.send(WorkerCancelled(job, attempt))
                return not isinstance(stop, Stop)
            checkpoint.write_bytes(str(step).encode())
            self.send(WorkerCheckpoint(job, step))
        self.finish(job, attempt)
        return True

    def step(self, job: str, attempt: int, step: int, steps: int, seconds: float):
        if self.options.get("die") == str(step) or (self.options.get("die-once") == str(step) and attempt == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        self.counter += 1
        self.send(WorkerProgress(job, attempt, step, steps, (steps - step) * seconds))
        picture = bytes([step % 256]) * (8 * 8 * 3)
        self.send(WorkerPreview(job, step, "base_color", 1001, 8, 8, 3, "raw_u8"), picture)
        self.send(Beat(self.counter))
        if self.socket.poll(int(seconds * 1000)):
            return unpack(self.socket.recv())
        return None

    def finish(self, job: str, attempt: int) -> None:
        image = self.store.put(b"image of " + job.encode())
        config = self.store.put(b"{}")
        size = len(b"image of " + job.encode())
        file = MapFile("base_color", 1001, 16, 16, 3, DType.U8, "srgb", "png", image, size)
        assert hashlib.sha256(b"{}").hexdigest() == config
        self.send(WorkerDone(job, attempt, JobResult((file,), config, 0.1)))


if __name__ == "__main__":
    main()
