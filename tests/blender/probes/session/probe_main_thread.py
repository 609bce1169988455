# SPDX-License-Identifier: Apache-2.0
"""How long the extension holds Blender's main thread: a replayed stream of events, and a real click.

Times are milliseconds of the thread's own CPU, with wall time beside them: on a busy machine only the first is ours.
"""

import struct
import sys
import time
import zlib
from typing import Any

import bpy
import numpy as np
from probe_session import ADDON, Rig, disable, enable


class Stopwatch:
    """Calls something and keeps how long it took."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def call(self, function: Any) -> Any:
        wall, cpu = time.perf_counter(), time.thread_time()
        result = function()
        self.cpu.append((time.thread_time() - cpu) * 1e3)
        self.wall.append((time.perf_counter() - wall) * 1e3)
        return result

    def summary(self) -> dict[str, float]:
        found: dict[str, float] = {"count": len(self.cpu)}
        for name, values in (("cpu", self.cpu), ("wall", self.wall)):
            found[f"{name}_p50_ms"], found[f"{name}_p99_ms"] = map(float, np.percentile(values, (50, 99)))
            found[f"{name}_max_ms"] = max(values)
        return {name: round(value, 3) for name, value in found.items()}


def previews(side: int, count: int) -> Any:
    """Ticks while previews of side x side stream in, each with progress, as a fast server would send them."""
    from blender_addon.client.events import JobPreview, JobProgress

    enable()
    rig = Rig()
    rig.run()
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(4)]
    watch = Stopwatch()
    for step in range(count):
        event = JobPreview("job-1", step, step, "base_color", 1001, images[step % 4], 0)
        rig.fake.say(event, JobProgress("job-1", step, count, 1.0))
        watch.call(rig.pump.tick)
    image = rig.obj.pgc.job.preview.material.node_tree.nodes["pgc base_color"].image
    shown = list(image.size)
    disable()
    return watch.summary() | {"shown": shown}


MAPS = {"base_color": ("srgb", 3), "roughness": ("linear", 1), "metallic": ("linear", 1), "normal": ("linear", 3)}
"""Colour space and channels."""


def _noise_png(side: int, channels: int, bits: int, seed: int) -> bytes:
    """A PNG of noise with so many random bits in each value; of 8 bits none can be compressed away."""
    values = np.random.default_rng(seed).integers(0, 1 << bits, (side, side * channels), dtype=np.uint8)
    rows = np.concatenate([np.zeros((side, 1), np.uint8), values << (8 - bits)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2 if channels == 3 else 0, 0, 0, 0)
    data = zlib.compress(rows, 1 if bits < 8 else 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def finals(side: int, bits: int) -> Any:
    """Ticks while four maps of side x side become a version, from the end of the job on.

    Args:
        bits: of each value that are random, which says how big the files are.
    """
    from blender_addon.client.events import JobFinished
    from blender_addon.protocol.arrays import DType
    from blender_addon.protocol.records import JobResult, MapFile

    enable()
    rig = Rig()
    view = rig.run()
    rig.preview()
    files = {}
    for index, (name, (space, channels)) in enumerate(MAPS.items()):
        data = _noise_png(side, channels, bits, index)
        files[MapFile(name, 1001, side, side, channels, DType.U8, space, "png", f"{index:064x}", len(data))] = data
    rig.fake.say(JobFinished("job-1", view.key, JobResult(tuple(files), "1" * 64, 5.0), files, b"{}"))
    watch = Stopwatch()
    while view.live:
        watch.call(rig.pump.tick)
    version = rig.obj.pgc.versions[0]
    found = watch.summary() | {"phase": view.phase.value, "version": version.name}
    found["ticks_ms"] = [round(value, 1) for value in watch.cpu]
    found["megabytes"] = round(sum(map(len, files.values())) / 1e6, 1)
    disable()
    return found


def panel(objects: int) -> Any:
    """Draw and poll in a big scene with a job under way."""
    from types import SimpleNamespace

    from probe_panel import Recorder

    enable()
    rig = Rig()
    for index in range(objects):
        bpy.context.scene.collection.objects.link(bpy.data.objects.new(f"O{index}", rig.obj.data.copy()))
    rig.run()
    rig.preview()
    kind = bpy.types.PGC_PT_texture
    draw, poll, tick = Stopwatch(), Stopwatch(), Stopwatch()
    for _ in range(300):
        draw.call(lambda: kind.draw(SimpleNamespace(layout=Recorder()), bpy.context))
        poll.call(lambda: (bpy.ops.pgc.generate.poll(), bpy.ops.pgc.cancel.poll()))
        tick.call(rig.pump.tick)
    disable()
    return {"draw": draw.summary(), "poll": poll.summary(), "idle_tick": tick.summary()}


def click(connection: str, triangles: int, clicks: int) -> Any:
    """From Generate to the server's acceptance, with a mesh of so many triangles; the first one warms up."""
    from blender_addon.session import event_pump

    enable()
    bpy.context.preferences.addons[ADDON].preferences.connection = connection
    side = round((triangles / 2) ** 0.5)
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=side, y_subdivisions=side)
    obj = bpy.context.object
    settings = bpy.context.scene.pgc
    settings.prompt, settings.steps, settings.texture_size = "red bricks", 1, "256"
    event_pump.job_desk().connect()
    state, total, held = event_pump.job_desk().state, Stopwatch(), Stopwatch()
    assert _until(lambda: state.server.ready)
    for number in range(clicks + 1):
        # Another mesh each time, or the server would have its arrays already.
        obj.data.vertices[0].co.z = 0.01 * number
        obj.data.update()
        bpy.context.view_layer.update()

        def one() -> None:
            held.call(bpy.ops.pgc.generate)
            view = state.newest()
            while view.job is None and view.live:
                event_pump.tick()
                time.sleep(0.001)

        total.call(one)
        view = state.newest()
        assert view.job is not None, view.problem
        bpy.ops.pgc.cancel(key=view.key)
        assert _until(lambda view=view: not view.live), view.phase
    faces = len(obj.data.loop_triangles) or 2 * len(obj.data.polygons)
    disable()
    del total.cpu[0], total.wall[0], held.cpu[0], held.wall[0]
    return {"triangles": faces, "click_to_accepted": total.summary(), "operator": held.summary()}


def _until(check: Any, seconds: float = 60.0) -> bool:
    from blender_addon.session import event_pump

    end = time.monotonic() + seconds
    while not check() and time.monotonic() < end:
        event_pump.tick()
        time.sleep(0.01)
    return bool(check())


def version() -> Any:
    """Of Blender and its Python."""
    return {"blender": bpy.app.version_string, "python": sys.version.split()[0], "numpy": np.__version__}
