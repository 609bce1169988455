# SPDX-License-Identifier: Apache-2.0
"""A mesh with a few of its views in one small file, so that a machine without Warp or trimesh can run the loop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import interpolate

from pgc.cameras import Camera
from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.gbuffer import GBuffer

__all__ = ["StoredRasterizer", "StoredScene", "load_scene", "save_scene", "trace_scene"]

_FORMAT = "pgc-stored-scene-1"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StoredScene:
    """A mesh and G-buffers of it."""

    triangles: TriangleMesh
    gbuffer: GBuffer


def trace_scene(views: int = 3, size: int = 128) -> StoredScene:
    """The trefoil knot through the real rasteriser. Needs Warp and what mesh preparation needs."""
    from pgc.evaluation.meshes import evaluation_mesh
    from pgc.evaluation.views import fixed_views
    from pgc.mesh import prepare_mesh
    from pgc.rendering.raster.rasterizer import RasterizerConfig
    from pgc.rendering.raster.warp_rasterizer import WarpRasterizer

    triangles = prepare_mesh(evaluation_mesh("trefoil")).triangles
    rasterizer = WarpRasterizer(triangles, device=torch.device("cpu"), config=RasterizerConfig())
    return StoredScene(triangles=triangles, gbuffer=rasterizer.render(fixed_views()[:views], (size, size)))


def save_scene(path: Path, scene: StoredScene) -> None:
    """Write the mesh, and of every view the pixels that show it."""
    gbuffer = scene.gbuffer
    inside = gbuffer.mask[:, 0]
    tensors = {"view.mask": inside.to(torch.uint8)}
    for name in _pixel_fields():
        tensors[f"view.{name}"] = _channels_last(getattr(gbuffer, name))[inside].contiguous()
    for field in fields(TriangleMesh):
        values = getattr(scene.triangles, field.name)
        # Tangents of its own a mesh need not have.
        if values is not None:
            tensors[f"mesh.{field.name}"] = torch.from_numpy(np.ascontiguousarray(values))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"format": _FORMAT, "note": json.dumps({"views": len(gbuffer)})})


def load_scene(path: Path) -> StoredScene:
    """Read what `save_scene` wrote; bit for bit the same.

    Raises:
        ConfigError: the file is missing or of another format.
    """
    if not path.is_file():
        raise ConfigError(f"There are no stored views at {path}; make them with --make-gbuffers where Warp is.")
    with safe_open(path, framework="pt", device="cpu") as file:
        if (file.metadata() or {}).get("format") != _FORMAT:
            raise ConfigError(f"{path} does not hold stored views of format {_FORMAT}; make it again.")
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    inside = tensors["view.mask"].bool()
    whole = {"mask": inside[:, None]}
    for name in _pixel_fields():
        values = tensors[f"view.{name}"]
        filled = torch.zeros((*inside.shape, *values.shape[1:]), dtype=values.dtype)
        if name == "face_index":
            filled -= 1
        filled[inside] = values
        whole[name] = filled if name == "face_index" else filled.permute(0, 3, 1, 2).contiguous()
    mesh = {key.removeprefix("mesh."): value.numpy() for key, value in tensors.items() if key.startswith("mesh.")}
    return StoredScene(triangles=TriangleMesh(**mesh), gbuffer=GBuffer(**whole))


def _pixel_fields() -> list[str]:
    return [field.name for field in fields(GBuffer) if field.name != "mask"]


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor if tensor.ndim == 3 else tensor.permute(0, 2, 3, 1)


class StoredRasterizer:
    """`pgc.rendering.raster.rasterizer.Rasterizer` over stored views: which one a camera gets depends on its bytes.

    Larger resolutions are multiples of the stored one: each pixel becomes a block, whose UVs follow the stored
    footprint (exact to first order), so that fetches are spread as those of a real render are.
    """

    def __init__(self, scene: StoredScene, device: torch.device) -> None:
        self._gbuffer = scene.gbuffer.to(device)
        self._enlarged: dict[int, GBuffer] = {}

    def render(self, cameras: Sequence[Camera], resolution: tuple[int, int]) -> GBuffer:
        """See `Rasterizer.render`."""
        stored = self._gbuffer.face_index.shape[-1]
        factor, remainder = divmod(resolution[0], stored)
        if remainder or resolution[0] != resolution[1]:
            raise ConfigError(f"Stored views of {stored} pixels asked for at {resolution}; use a square multiple.")
        if factor not in self._enlarged:
            self._enlarged[factor] = _enlarge(self._gbuffer, factor)
        views = [hashlib.sha256(camera.key()).digest()[0] % len(self._gbuffer) for camera in cameras]
        return self._enlarged[factor].select(views)


def _enlarge(gbuffer: GBuffer, factor: int) -> GBuffer:
    if factor == 1:
        return gbuffer
    tensors: dict[str, Tensor] = {}
    for field in fields(GBuffer):
        value = getattr(gbuffer, field.name)
        flat = value[:, None] if value.ndim == 3 else value
        large = interpolate(flat.float(), scale_factor=float(factor), mode="nearest").to(value.dtype)
        tensors[field.name] = large[:, 0] if value.ndim == 3 else large
    side = tensors["uv"].shape[-1]
    step = (torch.arange(side, device=gbuffer.uv.device) % factor + 0.5) / factor - 0.5
    x, y = step[None, None, None, :], step[None, None, :, None]
    footprint = tensors["uv_footprint"]
    tensors["uv"] = tensors["uv"] + footprint[:, 0:2] * x + footprint[:, 2:4] * y
    tensors["uv_footprint"] = footprint / factor
    return GBuffer(**tensors)
