# SPDX-License-Identifier: Apache-2.0
"""A server of the test's own, jobs for the oracle, and waiting for events."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from blender_addon import client as wire

FAILURES = (wire.JobFailed, wire.Refused, wire.ServerStartFailed, wire.ClientFailed)


def cube():
    """Positions [8, 3], triangles [12, 3] and corner UVs [12, 3, 2] of a cube whose six sides are charts."""
    places = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces, uvs = [], []
    for side, quad in enumerate(quads):
        left, low = side % 3 / 3 + 0.04, side // 3 / 2 + 0.06
        corners = [(left, low), (left + 0.25, low), (left + 0.25, low + 0.38), (left, low + 0.38)]
        for corner in ((0, 1, 2), (0, 2, 3)):
            faces.append([quad[at] for at in corner])
            uvs.append([corners[at] for at in corner])
    return places, np.array(faces, np.int32), np.array(uvs, np.float32)


def oracle_job(*, steps=50, size=64, seed=0, resolution=32, every_s=0.05, name="cube"):
    """A spec for the oracle and its arrays by hash: what the faults are measured with."""
    arrays: dict[str, np.ndarray] = {}

    def add(array):
        reference = wire.array_ref(array)
        arrays[reference.sha256] = array
        return reference

    positions, faces, uvs = cube()
    grid = np.indices((size, size)).sum(axis=0) // 8 % 2
    truth = np.where(grid[..., None] == 1, np.array([220, 40, 20]), np.array([30, 60, 200])).astype(np.uint8)
    spec = wire.TextureJobSpec(
        meshes=(wire.MeshSpec(name="cube", positions=add(positions), faces=add(faces), corner_uvs=add(uvs)),),
        prompt=wire.PromptSpec(text="a checkered cube"),
        settings=wire.SettingsSpec(seed=seed, steps=steps, views=1, resolution=resolution, texture_size=size),
        guidance=wire.ModelSpec(model="oracle", oracle_texture=(wire.TileImage(tile=1001, array=add(truth)),)),
        preview=wire.PreviewSpec(every_s=every_s, size=32),
        name=name,
    )
    return spec, arrays


@dataclass
class Watcher:
    """Takes a client's events and keeps them."""

    client: wire.Client
    seen: list[wire.Event] = field(default_factory=list)

    def until(self, kind: type | tuple[type, ...], timeout=60.0, *, where: Callable[[Any], bool] = lambda event: True):
        """The next event of a kind; fails at once where something ends that cannot come."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            event = self.client.events.get(timeout=0.2)
            if event is None:
                continue
            self.seen.append(event)
            if isinstance(event, kind) and where(event):
                return event
            assert not isinstance(event, FAILURES), event
        names = [type(event).__name__ for event in self.seen[-20:]]
        raise AssertionError(f"no {kind} within {timeout} s; the last events were {names}")

    def of(self, kind):
        return [event for event in self.seen if isinstance(event, kind)]


def base_color(done: wire.JobFinished) -> bytes:
    """The pixels of a finished job's only map."""
    [data] = done.maps.values()
    return data
