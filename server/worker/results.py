# SPDX-License-Identifier: Apache-2.0
"""A finished job's files: PNG maps as `pgc texture` writes them, byte for byte, and the configuration as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from blender_addon.protocol.arrays import DType
from blender_addon.protocol.meshes import ResultMesh
from blender_addon.protocol.messages import JobResult, MapFile
from blender_addon.protocol.specs.job import NEW_UVS
from pgc.images.maps import encode_maps
from pgc.maps import MAPS
from pgc.rendering.raster.choice import name_of
from pgc.runs.report import plain, versions
from pgc.texture.field import BakedTexture
from server.recipes import JobRun, MeshRun
from server.storage.blobs import BlobStore

__all__ = ["CONFIG_FORMAT", "Timings", "write_corner_uvs", "write_result", "write_shape"]

CONFIG_FORMAT = "pgc-job-1"


@dataclass
class Timings:
    """Seconds by stage of a job, this attempt only."""

    stages: dict[str, float] = field(default_factory=lambda: dict[str, float]())

    def add(self, stage: str, seconds: float) -> None:
        """Adds seconds to a stage, which may come several times."""
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def rounded(self) -> dict[str, float]:
        """Returns the seconds by stage, to milliseconds."""
        return {name: round(seconds, 3) for name, seconds in self.stages.items()}


def write_result(
    store: BlobStore, run: JobRun, texture: BakedTexture, timings: Timings, notices: tuple[str, ...]
) -> JobResult:
    """Puts a job's maps and configuration into the store; all of it is on the disk at the end.

    Args:
        notices: what the artist was told while it ran, such as a smaller plan.

    Raises:
        OSError: a blob cannot be written.
    """
    files: list[MapFile] = []
    for name, images in encode_maps(texture).items():
        for tile, data in images.items():
            files.append(
                MapFile(
                    map=name,
                    tile=tile,
                    width=texture.size,
                    height=texture.size,
                    channels=int(texture.maps[name][0].shape[0]),
                    dtype=DType.U8,
                    color_space="srgb" if MAPS[name].is_color else "linear",
                    codec="png",
                    sha256=store.put(data),
                    bytes=len(data),
                )
            )
    # What was told early is a warning of the run already.
    warnings = tuple(dict.fromkeys((*run.warnings, *notices)))
    config = _configuration(run, texture, timings, warnings)
    return JobResult(
        maps=tuple(files),
        config_json_sha256=_stored(store, config),
        seconds=round(timings.stages.get("total", 0.0), 3),
        warnings=warnings,
    )


def write_corner_uvs(store: BlobStore, corner_uvs: npt.NDArray[np.float32], timings: Timings) -> JobResult:
    """Puts the result of a job for new UVs [F, 3, 2] into the store.

    Raises:
        OSError: a blob cannot be written.
    """
    file = _array_file(store, NEW_UVS, corner_uvs)
    config = {
        "format": CONFIG_FORMAT,
        "triangles": len(corner_uvs),
        "versions": versions(),
        "seconds": timings.rounded(),
    }
    return JobResult(
        maps=(file,),
        config_json_sha256=_stored(store, config),
        seconds=round(timings.stages.get("total", 0.0), 3),
    )


def write_shape(
    store: BlobStore, run: MeshRun, mesh: ResultMesh, timings: Timings, notices: tuple[str, ...]
) -> JobResult:
    """Puts the result of a job for a new shape into the store: an array a file, and the configuration.

    Raises:
        OSError: a blob cannot be written.
    """
    warnings = tuple(dict.fromkeys((*run.warnings, *notices)))
    config = {
        "format": CONFIG_FORMAT,
        "seed": run.settings.optimize.seed,
        "steps_done": run.optimization.step,
        "device": str(run.guidance.device),
        "resolved": {"guidance": plain(run.prior), "prompt": plain(run.prompt), "settings": plain(run.settings)},
        "mesh": {"vertices": len(mesh.positions), "triangles": len(mesh.faces)},
        "non_finite": dict(run.optimization.finite.summary()),
        "regulation": plain(run.optimization.regulation_summary()),
        "unknown_words": list(run.unknown_words),
        "warnings": list(warnings),
        "versions": versions(),
        "seconds": timings.rounded(),
    }
    return JobResult(
        maps=tuple(_array_file(store, name, array) for name, array in mesh.arrays().items()),
        config_json_sha256=_stored(store, config),
        seconds=round(timings.stages.get("total", 0.0), 3),
        warnings=warnings,
    )


def _array_file(store: BlobStore, name: str, array: npt.NDArray[Any]) -> MapFile:
    """An array [height, width, channels] as it is."""
    dtype = DType.I32 if array.dtype.kind == "i" else DType.F32
    data = np.ascontiguousarray(array, dtype=dtype.numpy).tobytes()
    return MapFile(
        map=name,
        tile=1001,
        width=array.shape[1],
        height=array.shape[0],
        channels=array.shape[2],
        dtype=dtype,
        color_space="linear",
        codec="raw",
        sha256=store.put(data),
        bytes=len(data),
    )


def _stored(store: BlobStore, config: Mapping[str, Any]) -> str:
    return store.put((json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())


def _configuration(
    run: JobRun, texture: BakedTexture, timings: Timings, warnings: tuple[str, ...]
) -> Mapping[str, Any]:
    mesh = run.mesh
    return {
        "format": CONFIG_FORMAT,
        "seed": run.settings.optimize.seed,
        "steps_done": run.optimization.step,
        "device": str(run.guidance.device),
        "rasterizer": name_of(run.optimization.scene.rasterizer),
        "resolved": {"guidance": plain(run.prior), "prompt": plain(run.prompt), "settings": plain(run.settings)},
        "mesh": {
            "vertices": len(mesh.mesh.positions),
            "triangles": len(mesh.triangles.faces),
            "report": plain(mesh.report),
        },
        "memory_plan": plain(run.memory_plan),
        "non_finite": dict(run.optimization.finite.summary()),
        "regulation": plain(run.optimization.regulation_summary()),
        "uncovered_fraction": texture.uncovered_fraction,
        "unknown_words": list(run.unknown_words),
        "warnings": list(warnings),
        "versions": versions(),
        "seconds": timings.rounded(),
    }
