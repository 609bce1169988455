# SPDX-License-Identifier: Apache-2.0
"""Jobs made from a mesh file, as the client makes them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import msgpack
import numpy as np
import pytest
import torch

from blender_addon.protocol.arrays import ArrayRef, array_ref, blob_of
from blender_addon.protocol.specs.job import (
    MeshSpec,
    ModelSpec,
    PromptSpec,
    SettingsSpec,
    TextureJobSpec,
    TileImage,
)
from blender_addon.protocol.structure import to_wire
from pgc.images.sources import read_texture
from pgc.mesh import load_mesh, prepare_mesh, triangulate
from server.config import ServerPaths
from server.storage.blobs import BlobStore


@dataclass
class Arrays:
    """Arrays by hash, as the store of a server has them."""

    known: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, array: np.ndarray) -> ArrayRef:
        ref = array_ref(array)
        self.known[ref.sha256] = np.ascontiguousarray(array)
        return ref

    def read(self, ref: ArrayRef) -> np.ndarray:
        return self.known[ref.sha256].reshape(ref.shape)


def mesh_spec(arrays: Arrays, path: Path, **more: np.ndarray) -> MeshSpec:
    """What the client sends of a mesh file: its triangles in world space, Z up, not normalised."""
    mesh = prepare_mesh(load_mesh(path)).mesh
    triangles = triangulate(mesh)
    positions, normals = triangles.positions, triangles.corner_normals
    if mesh.up_axis == "y":
        turn = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=np.float32)
        positions, normals = positions @ turn.T, normals @ turn.T
    return MeshSpec(
        name=mesh.name,
        positions=arrays.add(positions),
        faces=arrays.add(triangles.faces),
        corner_uvs=arrays.add(triangles.corner_uvs),
        corner_normals=arrays.add(normals),
        polygon_index=arrays.add(triangles.polygon_index),
        material_index=arrays.add(triangles.material_index),
        **{name: arrays.add(array) for name, array in more.items()},
    )


def tile_images(arrays: Arrays, path: Path, size: int) -> tuple[TileImage, ...]:
    image = read_texture(path, size).texture.to_uint8()["base_color"][0].permute(1, 2, 0).numpy()
    return (TileImage(tile=1001, array=arrays.add(np.ascontiguousarray(image))),)


@pytest.fixture
def arrays() -> Arrays:
    return Arrays()


@pytest.fixture
def oracle_job(arrays, cube_obj, red_texture) -> TextureJobSpec:
    """Three small steps towards a red texture on a cube."""
    return TextureJobSpec(
        meshes=(mesh_spec(arrays, cube_obj),),
        prompt=PromptSpec(text="red"),
        settings=SettingsSpec(steps=3, views=2, resolution=16, texture_size=32),
        guidance=ModelSpec(model="oracle", oracle_texture=tile_images(arrays, red_texture, 32)),
    )


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")


@dataclass
class StoredJob:
    """A job as the broker leaves it for gate and worker: its specification and blobs in a data directory."""

    paths: ServerPaths
    store: BlobStore
    spec: TextureJobSpec
    name: str = "a" * 32

    def write(self, spec: TextureJobSpec) -> None:
        self.spec = spec
        self.paths.job(self.name).mkdir(parents=True, exist_ok=True)
        self.paths.spec(self.name).write_bytes(msgpack.packb(to_wire(spec), use_bin_type=True))

    def put(self, array: np.ndarray) -> ArrayRef:
        self.store.put(blob_of(array))
        return array_ref(array)


@pytest.fixture
def stored_job(tmp_path, arrays, oracle_job) -> StoredJob:
    paths = ServerPaths(tmp_path / "data")
    paths.logs.mkdir(parents=True)
    job = StoredJob(paths, BlobStore(paths.blobs), oracle_job)
    for array in arrays.known.values():
        job.put(array)
    job.write(oracle_job)
    return job


def with_settings(spec: TextureJobSpec, **changes) -> TextureJobSpec:
    return replace(spec, settings=replace(spec.settings, **changes))
