# SPDX-License-Identifier: Apache-2.0
"""What a run on the server leaves in its folder: the same files as a run in this process."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from blender_addon import client as wire
from pgc.maps import MAPS, map_channels
from pgc.mesh import PreparedMesh
from pgc.pictures.studio import Framing, baked_look, studio_light
from pgc.remote.events import RemoteError
from pgc.rendering.light import Light
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.runs.folder import OutputConfig, PreviewCadence, RunFolder
from pgc.runs.report import RunClock, RunReport, RunState, mesh_facts, plain, write_report
from pgc.runs.request import TextureRequest
from pgc.runs.scene_building import with_alpha_of
from pgc.texture.field import BakedTexture

__all__ = ["RemoteFiles", "account_of", "texture_of"]

_TOLD = ("memory_plan", "non_finite", "regulation")
"""Blocks of a report that only the server can fill."""
_UNSEEN = 128
"""Gray of a tile that no preview has shown yet."""


@dataclass(slots=True, eq=False, kw_only=True)
class RemoteFiles:
    """Writes previews while a run goes on, results and the report at its end."""

    folder: RunFolder
    request: TextureRequest
    mesh: PreparedMesh
    rasterizer: Rasterizer
    outputs: OutputConfig
    arguments: Mapping[str, Any]
    initial: BakedTexture | None = None
    """Its alpha stays here, and comes back into the result."""
    server: dict[str, Any]
    """What the report says of the server: key, job, connection."""
    clock: RunClock = field(default_factory=RunClock)
    steps_done: int = 0
    notices: list[str] = field(default_factory=list[str])
    _tiles: dict[str, dict[int, np.ndarray]] = field(default_factory=dict[str, dict[int, np.ndarray]])
    """The newest previews, by map and tile."""
    _light: Light | None = None
    _cadence: PreviewCadence | None = None

    @property
    def framing(self) -> Framing:
        """How the mesh stands in pictures."""
        return Framing.of(self.mesh.triangles, self.request.prompt.front_axis)

    def show(self, event: wire.JobPreview | wire.JobShapePreview) -> Path | None:
        """Takes a preview in, as `preview`; returns the picture where one was written."""
        written = isinstance(event, wire.JobPreview) and self.preview(event)
        return self.folder.preview if written else None

    def preview(self, event: wire.JobPreview) -> bool:
        """Takes a preview in and writes preview.png if one is due (at growing distances). Returns whether it was
        written."""
        if event.map not in self.request.settings.maps:
            return False
        self._tiles.setdefault(event.map, {})[event.tile] = event.image
        if not self._complete():
            return False
        now = self.clock.elapsed()
        if self._cadence is None:
            self._cadence = PreviewCadence(self.outputs, now, first=now)
        if not self._cadence.is_due(now):
            return False
        if self._light is None and self.request.settings.material is not None:
            self._light = studio_light()
        look = baked_look(self._so_far(), repeat=self.mesh.report.needs_repeat, light=self._light)
        self.folder.write_preview(self.rasterizer, look, self.framing, self.outputs.preview)
        self.clock.add("previews", self.clock.elapsed() - now)
        self._cadence.made(now)
        return True

    def _complete(self) -> bool:
        """Says whether there is something of every map that a run shows; what is computed comes at the end only."""
        return set(self._tiles) == {name for name in self.request.settings.maps if MAPS[name].start}

    def _so_far(self) -> BakedTexture:
        """The newest preview of every map and tile, at one size."""
        side = max(max(image.shape[:2]) for tiles in self._tiles.values() for image in tiles.values())
        tiles, channels = self.mesh.report.tiles, map_channels()
        maps = {
            name: [_square(found.get(tile), side, channels[name]) for tile in tiles]
            for name, found in self._tiles.items()
        }
        return BakedTexture.from_uint8(maps, tiles)

    def finish(self, done: wire.JobFinished | wire.JobCancelled) -> RunReport:
        """Writes all files of a run that ended with a texture. Raises RemoteError where they are not what was
        promised."""
        start = self.clock.elapsed()
        texture = with_alpha_of(texture_of(done.maps, self.mesh.report.tiles), self.initial)
        told = account_of(done.config)
        files = self.folder.write_texture(self.mesh, texture, self.rasterizer, self.framing, self.outputs)
        self.clock.add("write", self.clock.elapsed() - start)
        if done.result is not None:
            self.clock.add("server", done.result.seconds)
        warnings = () if done.result is None else done.result.warnings
        # The server knows best: its version's preset may have other steps than this one's.
        reached, optimize = told.get("steps_done"), self.request.settings.optimize
        if isinstance(reached, int):
            self.steps_done = reached
        elif isinstance(done, wire.JobFinished):
            self.steps_done = optimize.warm_steps + optimize.steps
        if isinstance(done, wire.JobCancelled):
            return self.write_report("interrupted", files, told, warnings)
        return self.write_report("finished", files, told, warnings)

    def write_report(
        self,
        state: RunState,
        files: Mapping[str, str] | None = None,
        told: Mapping[str, Any] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> RunReport:
        """Writes run.json, as `report` has it."""
        report = self.report(state, files, told, warnings)
        write_report(self.folder.report, report)
        return report

    def report(
        self,
        state: RunState,
        files: Mapping[str, str] | None = None,
        told: Mapping[str, Any] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> RunReport:
        """Says how things stand; `told` is the server's own account."""
        told = told or {}
        unknown = told.get("unknown_words")
        uncovered = told.get("uncovered_fraction")
        return RunReport(
            state=state,
            arguments=self.arguments,
            resolved=plain(self.request),
            seed=self.request.settings.optimize.seed,
            steps_done=self.steps_done,
            device=str(told.get("device") or "server"),
            rasterizer=str(told.get("rasterizer") or ""),
            mesh=mesh_facts(self.mesh),
            unknown_words=tuple(map(str, unknown)) if isinstance(unknown, list) else (),
            warnings=tuple(dict.fromkeys((*self.mesh.report.warnings, *warnings, *self.notices))),
            seconds=self.clock.summary(),
            files=files or {},
            uncovered_fraction=float(uncovered) if isinstance(uncovered, int | float) else None,
            # As of a run here: what it was computed with, and what became of its gradients.
            **{name: block for name in _TOLD if isinstance(block := told.get(name), Mapping)},
            server={**self.server, **({"report": dict(told)} if told else {})},
        )


def texture_of(maps: Mapping[wire.MapFile, bytes], tiles: tuple[int, ...]) -> BakedTexture:
    """Returns the texture in the server's files, byte for byte. Raises RemoteError where a file is missing or
    unreadable."""
    names = list(dict.fromkeys(item.map for item in maps))
    found = {(item.map, item.tile): _pixels(item, data) for item, data in maps.items()}
    missing = [f"{name}.{tile}" for name in names for tile in tiles if (name, tile) not in found]
    if not names or missing:
        raise RemoteError(f"The server's result lacks {', '.join(missing) or 'all maps'}; look at pgc-server logs.")
    return BakedTexture.from_uint8({name: [found[name, tile] for tile in tiles] for name in names}, tiles)


def _pixels(item: wire.MapFile, data: bytes) -> Tensor:
    """[c, H, W] uint8."""
    name = f"{item.map}.{item.tile}"
    if item.dtype is not wire.DType.U8:
        raise RemoteError(f"The server sent {name} as {item.dtype.name}; this version writes 8-bit files only.")
    shape = (item.height, item.width, item.channels)
    if item.codec == "raw":
        if len(data) != int(np.prod(shape)):
            raise RemoteError(f"The server sent {name} with {len(data)} bytes, expected {int(np.prod(shape))}.")
        array = np.frombuffer(data, np.uint8).reshape(shape)
    else:
        try:
            with Image.open(io.BytesIO(data)) as image:
                if image.size != (item.width, item.height):
                    # Before it is decoded: a small file may hold a picture of any size.
                    raise RemoteError(f"The server sent {name} with shape {image.size[::-1]}, expected {shape}.")
                array = np.asarray(image)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise RemoteError(f"The server sent {name} as an image that cannot be read ({error}).") from error
        array = array[..., None] if array.ndim == 2 else array
        if array.shape != shape:
            raise RemoteError(f"The server sent {name} with shape {array.shape}, expected {shape}.")
    return torch.from_numpy(array.copy()).permute(2, 0, 1).contiguous()


def account_of(data: bytes) -> dict[str, Any]:
    """Reads the server's account of a run; empty where it sent none.

    Raises:
        RemoteError: it cannot be read.
    """
    if not data:
        return {}
    try:
        content = json.loads(data)
    except ValueError as error:
        raise RemoteError(f"The server's account of the run is no JSON ({error}).") from error
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def _square(image: np.ndarray | None, side: int, channels: int) -> Tensor:
    """A preview as [channels, side, side] uint8."""
    if image is None:
        return torch.full((channels, side, side), _UNSEEN, dtype=torch.uint8)
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB" if channels == 3 else "L")
    if picture.size != (side, side):
        picture = picture.resize((side, side), Image.Resampling.BILINEAR)
    pixels = np.array(picture)
    return torch.from_numpy(pixels.reshape(side, side, channels)).permute(2, 0, 1).contiguous()
