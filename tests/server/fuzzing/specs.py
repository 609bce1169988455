# SPDX-License-Identifier: Apache-2.0
"""Job specifications and their arrays, damaged, before the gate: accepted or refused by a typed sentence. What the gate
accepts, a worker can make ready or refuse by a sentence of its own; nothing is "an error in the server"."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgpack
import numpy as np
import torch

from blender_addon.protocol.arrays import ArrayRef, DType, array_ref, blob_of
from blender_addon.protocol.errors import ErrorCode, WireError
from blender_addon.protocol.specs.job import CameraRigSpec, CameraSpec, ShapeSpec, TextureJobSpec, TileImage
from blender_addon.protocol.structure import from_wire, to_wire
from server.config import ServerPaths
from server.gate.main import Caps, judge
from server.recipes import planner_of
from server.storage.blobs import BlobStore
from server.supported import check_supported
from server.worker.failures import wire_error
from tests.blender_addon.protocol import samples
from tests.e2e.server_rig import cube, oracle_job
from tests.server.fuzzing.damage import changed, damaged_bytes
from tests.server.fuzzing.judge import LONGEST_SENTENCE, WrongError

__all__ = ["Specs"]

_JOB = "a" * 32
_LARGEST_SIDE = 300


class Specs:
    """A data folder with one job, whose specification and blobs change from case to case."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self._paths = ServerPaths(folder / "data")
        self._store = BlobStore(self._paths.blobs)
        self._paths.job(_JOB).mkdir(parents=True)
        self._pool = self._arrays()
        self._whole = [to_wire(spec) for spec in self._specs()]

    def case(self, number: int) -> Sequence[str]:
        """See `Target`."""
        rng = Random(f"spec {self._seed} {number}")
        damaged = self._damaged_blob(rng) if rng.random() < 0.1 else None
        self._paths.spec(_JOB).write_bytes(self._spec(rng))
        error = judge(self._paths, self._store, _JOB, Caps())
        outcome = "accepted" if error is None else self._typed(error)
        if error is None:
            outcome = f"accepted, then {self._made_ready()}"
        if damaged is not None:
            self._store.put(damaged)
        return [outcome]

    def close(self) -> None:
        """See `Target`."""

    def _typed(self, error: WireError) -> str:
        if error.code is ErrorCode.INTERNAL:
            raise WrongError(f"{error.text} {error.hint}")
        if not error.text or "\n" in error.text or len(error.text) > LONGEST_SENTENCE:
            raise WrongError(f"no sentence: {error.text[:LONGEST_SENTENCE]!r}")
        if str(self._paths.root) in f"{error.text} {error.hint} {error.field}":
            raise WrongError(f"a path of the server: {error}")
        return error.code.value

    def _made_ready(self) -> str:
        """What a worker asks of it before it loads anything."""
        data = self._paths.spec(_JOB).read_bytes()
        try:
            spec = from_wire(TextureJobSpec, msgpack.unpackb(data, raw=False, strict_map_key=True))
            check_supported(spec)
            planner_of(spec, torch.device("cpu")).planned(0)
        except Exception as error:  # noqa: BLE001 - as the worker does
            try:
                return self._typed(wire_error(error))
            except WrongError as wrong:
                raise wrong from error
        return "ready"

    def _damaged_blob(self, rng: Random) -> bytes:
        """Damages a stored blob; returns what it was."""
        ref = rng.choice([ref for ref in self._pool if self._store.has(ref.sha256)])
        path = self._store.path(ref.sha256)
        data = path.read_bytes()
        if rng.random() < 0.3:
            path.unlink()
        else:
            path.write_bytes(damaged_bytes(rng, data))
        return data

    def _spec(self, rng: Random) -> bytes:
        plain = rng.choice(self._whole)
        if rng.random() < 0.5:
            plain = changed(rng, plain, 0)
            for _ in range(rng.choice((1, 1, 2, 5))):
                self._other_array(rng, plain)
        if rng.random() < 0.7:
            plain = changed(rng, plain, rng.choice((1, 1, 1, 2, 4)))
        try:
            data = bytes(msgpack.packb(plain, use_bin_type=True, unicode_errors="surrogatepass") or b"")
        except (ValueError, OverflowError, TypeError):
            data = bytes(msgpack.packb(self._whole[0]) or b"")
        return damaged_bytes(rng, data) if rng.random() < 0.15 else data

    def _other_array(self, rng: Random, plain: Any) -> None:
        """Another array in the place of one, fitting or not."""
        meshes = plain.get("meshes") if isinstance(plain, dict) else None
        if not meshes:
            return
        mesh = rng.choice(meshes)
        name = rng.choice([name for name in mesh if name != "name"])
        if rng.random() < 0.15:
            mesh[name] = None
            return
        old = mesh[name]
        fitting = [ref for ref in self._pool if old is None or list(ref.shape) == list(old["shape"])]
        mesh[name] = to_wire(rng.choice(fitting if fitting and rng.random() < 0.8 else self._pool))

    # What is there

    def _specs(self) -> list[TextureJobSpec]:
        spec, arrays = oracle_job(steps=3)
        for array in arrays.values():
            self._store.put(blob_of(array))
            self._pool.append(array_ref(array))
        image = TileImage(tile=1001, array=self._of(np.zeros((32, 32, 3), np.uint8)))
        mask = TileImage(tile=1001, array=self._of(np.full((32, 32), 255, np.uint8)))
        camera = CameraSpec(world_to_camera=samples.IDENTITY, projection=samples.IDENTITY, aspect=1.5)
        faces = len(cube()[1])
        rich = dataclasses.replace(
            spec.meshes[0],
            corner_normals=self._of(np.tile(np.float32([0, 0, 1]), (faces, 3, 1))),
            corner_tangents=self._of(np.tile(np.float32([1, 0, 0, 1]), (faces, 3, 1))),
            polygon_index=self._of(np.arange(faces, dtype=np.int32) // 2),
            material_index=self._of(np.arange(faces, dtype=np.int32) % 3),
            textured=self._of((np.arange(faces) % 2).astype(np.uint8)),
        )
        full = samples.spec()
        names = ("corner_normals", "corner_tangents", "polygon_index", "textured")
        shaped = dataclasses.replace(rich, **dict.fromkeys(names))
        return [
            samples.shape_spec(meshes=(shaped,)),
            samples.shape_spec(meshes=(), shape=ShapeSpec(geometry="volume")),
            spec,
            dataclasses.replace(spec, meshes=(rich, spec.meshes[0])),
            dataclasses.replace(spec, initial_texture=(image,), lock_mask=(mask,)),
            dataclasses.replace(spec, cameras=CameraRigSpec(cameras=(camera, camera))),
            dataclasses.replace(
                full, meshes=(rich,), initial_texture=(image,), lock_mask=(mask,), guidance=spec.guidance
            ),
            dataclasses.replace(full, meshes=(rich,) * 3, initial_texture=(), lock_mask=()),
        ]

    def _of(self, array: np.ndarray) -> ArrayRef:
        self._store.put(blob_of(array))
        ref = array_ref(array)
        self._pool.append(ref)
        return ref

    def _arrays(self) -> list[ArrayRef]:
        """Arrays that no good mesh has."""
        self._pool = []
        positions, faces, uvs = cube()
        for value in (np.nan, np.inf, -np.inf, 1e38, 1e9, 1e-45, 0.0, -0.0):
            self._of(np.full_like(positions, value))
            self._of(np.full_like(uvs, value))
            one = positions.copy()
            one[3, 1] = value
            self._of(one)
            one = uvs.copy()
            one[5, 2] = value
            self._of(one)
        for index in (-1, 7, 8, 1 << 30, (1 << 31) - 1, -(1 << 31)):
            self._of(np.full_like(faces, index))
            one = faces.copy()
            one[2] = index
            self._of(one)
            self._of(np.full(len(faces), index, np.int32))
        for scale in (1e-30, 1e6, 1e30):
            self._of((positions * np.float32(scale)).astype(np.float32))
            self._of((uvs * np.float32(scale)).astype(np.float32))
        self._of(uvs + np.float32(9.0))
        self._of(uvs * np.float32(40.0) - np.float32(20.0))
        for shape in ((0,), (0, 3), (0, 3, 2), (1, 1, 1, 0)):
            self._of(np.zeros(shape, np.float32))
        self._of(np.zeros((0, 3), np.int32))
        self._of(np.zeros(len(faces), np.uint8))
        for side in (1, 15, 17, 64, _LARGEST_SIDE):
            self._of(np.zeros((side, side, 3), np.uint8))
            self._of(np.zeros((side, side), np.uint8))
        # References to nothing, and to sizes that only a reference can have.
        self._pool += [
            ArrayRef(hashlib.sha256(b"nothing").hexdigest(), DType.F32, (8, 3)),
            ArrayRef("e" * 64, DType.F32, (20_000_000, 3)),
            ArrayRef("d" * 64, DType.I32, (40_000_000, 3)),
        ]
        return self._pool
