# SPDX-License-Identifier: Apache-2.0
"""A worker without torch, as a process: sends what a real one would, so that only the broker is measured.

The name of the job says what it does: `stream` sends progress ten times a second and a preview as often as the job
wishes, until it is cancelled; `maps SIZE` ends at once with base colour, roughness, metallic, normal of SIZE² texels.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import msgpack

from blender_addon.protocol.arrays import DType
from blender_addon.protocol.messages import JobResult, MapFile, PreviewCodec
from blender_addon.protocol.specs.job import TextureJobSpec
from blender_addon.protocol.structure import from_wire
from server.children.link import BrokerGone, Link, read_settings
from server.children.messages import (
    ROLE_WORKER,
    CancelRun,
    Ready,
    Run,
    Stop,
    WorkerCancelled,
    WorkerDone,
    WorkerPreview,
    WorkerProgress,
)
from server.config import ServerPaths
from server.storage.blobs import BlobStore

MAPS = {"base_color": 3, "roughness": 1, "metallic": 1, "normal": 3}
"""Map to channels: the set of a 4096² result."""
STEPS = 1_000_000
_STEP_SECONDS = 0.1


class Worker:
    """Takes jobs until the broker ends it or is gone."""

    def __init__(self, link: Link, paths: ServerPaths) -> None:
        self._link = link
        self._paths = paths
        self._store = BlobStore(paths.blobs)

    def serve(self) -> None:
        while not isinstance(message := self._link.receive(timeout=1.0), Stop | BrokerGone):
            if isinstance(message, Run) and not self._run(message):
                return

    def _run(self, run: Run) -> bool:
        """False: the process is to end."""
        data = self._paths.spec(run.job).read_bytes()
        spec = from_wire(TextureJobSpec, msgpack.unpackb(data, raw=False, strict_map_key=True))
        kind, _, size = spec.name.partition(" ")
        if kind == "maps":
            self._link.send(WorkerDone(run.job, run.attempt, self._maps(int(size))))
            return True
        return self._stream(run, spec)

    def _stream(self, run: Run, spec: TextureJobSpec) -> bool:
        side = spec.preview.size
        picture = os.urandom(side * side * 3)
        shown = 0.0
        for step in range(1, STEPS):
            self._link.step_counter += 1
            self._link.send(WorkerProgress(run.job, run.attempt, step, STEPS, None), may_be_lost=True)
            if (now := time.monotonic()) - shown >= spec.preview.every_s:
                shown = now
                codec = PreviewCodec.RAW_U8.value
                message = WorkerPreview(run.job, step, "base_color", 1001, side, side, 3, codec)
                self._link.send(message, picture, may_be_lost=True)
            stop = self._link.receive(timeout=_STEP_SECONDS)
            if isinstance(stop, CancelRun):
                self._link.send(WorkerCancelled(run.job, run.attempt))
                return True
            if isinstance(stop, Stop | BrokerGone):
                return False
        return True

    def _maps(self, size: int) -> JobResult:
        files = [self._map(name, size, channels) for name, channels in MAPS.items()]
        return JobResult(tuple(files), self._store.put(b"{}"), 0.0)

    def _map(self, name: str, size: int, channels: int) -> MapFile:
        pixels = os.urandom(size * size * channels)
        return MapFile(
            map=name,
            tile=1001,
            width=size,
            height=size,
            channels=channels,
            dtype=DType.U8,
            color_space="srgb" if name == "base_color" else "linear",
            codec="raw",
            sha256=self._store.put(pixels),
            bytes=len(pixels),
        )


def main() -> None:
    """Started by `standin_broker`, never by hand."""
    settings: Any = read_settings(sys.stdin.buffer)
    link = Link(settings, sys.stdin.buffer)
    link.start(Ready(ROLE_WORKER, settings.index, os.getpid(), {}, ("cpu",)))
    try:
        Worker(link, ServerPaths(Path(settings.data_dir))).serve()
    finally:
        link.close()


if __name__ == "__main__":
    main()
