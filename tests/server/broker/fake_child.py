# SPDX-License-Identifier: Apache-2.0
"""A gate or a worker that does what the job's name says, and needs no torch: a thread.

Names of jobs: `steps=N` that many steps; `sleep=S` seconds for each; `die=K` the process is gone at step K;
`die-once=K` only in attempt 1; `fail` WORKER error; `hang` ignores everything; `gate-die`, `gate-hang`, `gate-no`.
"""

import hashlib
import json
import os
import threading
import time
from pathlib import Path

import msgpack
import zmq

from blender_addon.protocol.arrays import DType
from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import JobResult, MapFile, ModelInfo
from server.children.messages import (
    Beat,
    CancelRun,
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
    WorkerYielded,
    YieldRun,
    pack,
    unpack,
)
from server.children.settings import ChildSettings
from server.storage.blobs import BlobStore


class FakeChild:
    """A `ChildProcess` that is a thread. `kill` ends it wherever it is; `stop` unless its job says `hang`."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self._reader = reader
        self.stdin = os.fdopen(writer, "wb")
        self.pid = os.getpid()
        self.ended = threading.Event()
        self.deaf = False
        self._code: int | None = None
        self._thread = threading.Thread(target=self._run, name="child")
        self._thread.start()

    def dump_stacks(self) -> None:
        """A thread has nothing to show."""

    def stop(self) -> None:
        if not self.deaf:
            self.end(-15)

    def kill(self) -> None:
        self.end(-9)

    def end(self, code: int) -> None:
        if not self.ended.is_set():
            self._code = code
            self.ended.set()

    def poll(self) -> int | None:
        return None if self._thread.is_alive() else self._code

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        with os.fdopen(self._reader, "rb") as settings_pipe:
            line = settings_pipe.readline()
            if not line:
                self.end(3)
                return
            settings = ChildSettings(**json.loads(line))
            context = zmq.Context()
            socket = context.socket(zmq.DEALER)
            socket.linger = 0
            socket.curve_serverkey = settings.server_public.encode()
            socket.curve_publickey = settings.own_public.encode()
            socket.curve_secretkey = settings.own_secret.encode()
            socket.connect(settings.endpoint)
            try:
                Child(self, settings, socket).run()
            except Killed:
                pass
            finally:
                self.end(0)
                socket.close()
                context.term()


class Killed(Exception):
    """The process is no more."""


class Child:
    def __init__(self, process: FakeChild, settings: ChildSettings, socket) -> None:
        self.process = process
        self.settings = settings
        self.data = Path(settings.data_dir)
        self.store = BlobStore(self.data / "blobs")
        self.socket = socket
        self.options: dict[str, str] = {}
        self.counter = 0

    def run(self) -> None:
        settings = self.settings
        self.send(Ready(settings.role, settings.index, 1, {}, ("cpu",), (ModelInfo("pocket", "installed"),)))
        while True:
            message = self.receive(0.2)
            if message is None:
                self.send(Beat(self.counter))
                continue
            match message:
                case Validate(job=job):
                    self.read(job)
                    self.validate(job)
                case Run(job=job, attempt=attempt, keep_only=True):
                    self.send(WorkerCancelled(job, attempt, self.result(job)))
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

    def receive(self, seconds: float):
        """The next message, or None; raises Killed when this process was killed."""
        deadline = time.monotonic() + seconds
        while True:
            if self.process.ended.is_set():
                raise Killed
            if self.socket.poll(5):
                return unpack(self.socket.recv())
            if time.monotonic() > deadline:
                return None

    def hang(self) -> None:
        self.process.deaf = True
        self.process.ended.wait()
        raise Killed

    def die(self) -> None:
        self.process.end(-9)
        raise Killed

    def send(self, message, *payload: bytes) -> None:
        self.socket.send_multipart([pack(message), *payload])

    def validate(self, job: str) -> None:
        if "gate-die" in self.options:
            self.die()
        if "gate-hang" in self.options:
            self.hang()
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
            self.hang()
        if "fail" in self.options:
            self.send(WorkerFailed(job, attempt, WireError(ErrorCode.RES_OOM, Retry.CHANGED, "Too big.")))
            return True
        for step in range(start + 1, steps + 1):
            stop = self.step(job, attempt, step, steps, seconds)
            if stop is not None:
                if isinstance(stop, CancelRun):
                    self.send(WorkerCancelled(job, attempt, self.result(job)))
                if isinstance(stop, YieldRun):
                    checkpoint.write_bytes(str(step).encode())
                    self.send(WorkerCheckpoint(job, step))
                    self.send(WorkerYielded(job, attempt, step))
                return not isinstance(stop, Stop)
            checkpoint.write_bytes(str(step).encode())
            self.send(WorkerCheckpoint(job, step))
        self.send(WorkerDone(job, attempt, self.result(job)))
        return True

    def step(self, job: str, attempt: int, step: int, steps: int, seconds: float):
        if self.options.get("die") == str(step) or (self.options.get("die-once") == str(step) and attempt == 1):
            self.die()
        self.counter += 1
        self.send(WorkerProgress(job, attempt, step, steps, (steps - step) * seconds))
        picture = bytes([step % 256]) * (8 * 8 * 3)
        self.send(WorkerPreview(job, step, "base_color", 1001, 8, 8, 3, "raw_u8"), picture)
        self.send(Beat(self.counter))
        return self.receive(seconds)

    def result(self, job: str) -> JobResult:
        image = self.store.put(b"image of " + job.encode())
        config = self.store.put(b"{}")
        size = len(b"image of " + job.encode())
        file = MapFile("base_color", 1001, 16, 16, 3, DType.U8, "srgb", "png", image, size)
        assert hashlib.sha256(b"{}").hexdigest() == config
        return JobResult((file,), config, 0.1)
