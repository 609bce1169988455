# SPDX-License-Identifier: Apache-2.0
"""What a submission must be before a worker sees it. Each refusal names the field.

Arrays are mapped or read in pieces: no whole array comes into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack  # pyright: ignore[reportMissingTypeStubs]
import numpy as np

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry, WireError, invalid
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.specs.job import (
    CameraRigSpec,
    ConditionsSpec,
    MeshSpec,
    ReferenceSpec,
    TextureJobSpec,
    TileImage,
)
from blender_addon.protocol.specs.mesh_checks import Passed, Rows, check_mesh
from blender_addon.protocol.structure import from_wire
from server.config import ServerPaths
from server.errors import BlobError
from server.gate.model_files import check_model_files
from server.gate.picture_file import check_picture
from server.gate.stored_array import StoredArray
from server.storage.blob_care import require_whole
from server.storage.blobs import BlobStore
from server.storage.named_files import ADAPTER, NamedFiles, find_named
from server.supported import check_supported
from server.unwrapper import has_unwrapper, no_unwrapper

__all__ = ["Arrays", "validate"]

_MAPPED = 16 << 20
"""Bytes up to which an array is mapped; so much of it is in memory since its upload."""
_LOOKED_AT = 1024
"""Pixels a side of a reference that a run looks at, evenly spread over it."""
_MAX_SPEC_BYTES = 1 << 20
_unpackb: Callable[..., Any] = msgpack.unpackb  # pyright: ignore


def validate(paths: ServerPaths, store: BlobStore, job: str, passed: Passed | None = None) -> TextureJobSpec:
    """Checks a job's specification and all arrays that it names; returns the specification.

    Args:
        passed: checks of meshes that were passed before, in other jobs too.

    Raises:
        ProtocolError: something is missing, out of range or inconsistent; the error names the field.
    """
    spec = _read_spec(paths, job)
    if spec.unwraps and not has_unwrapper():
        raise no_unwrapper()
    check_supported(spec)
    arrays, passed = Arrays(paths, store), Passed() if passed is None else passed
    for index, mesh in enumerate(spec.meshes):
        if mesh.corner_uvs is None and not (spec.unwraps or spec.reshapes):
            text = "The mesh has no UVs; unwrap it first (Blender: U > Smart UV Project)."
            raise invalid(f"meshes[{index}].corner_uvs", text)
        _check_arrays(mesh, arrays, f"meshes[{index}]", passed)
    _check_images(spec.initial_texture, arrays, "initial_texture", channels=3)
    for name, images in spec.initial_maps.items():
        _check_images(images, arrays, f"initial_maps.{name}", channels=3 if name == "normal" else None)
    _check_images(spec.lock_mask, arrays, "lock_mask", channels=None)
    _check_images(spec.guidance.oracle_texture, arrays, "guidance.oracle_texture", channels=3)
    _check_reference(spec.conditions.reference, arrays)
    check_picture(None if spec.shape is None else spec.shape.picture, arrays.behind)
    _check_named(spec.conditions, NamedFiles(paths.models))
    check_model_files(spec.guidance.loras, "guidance.loras", arrays.behind)
    check_model_files(spec.guidance.embeddings, "guidance.embeddings", arrays.behind)
    if isinstance(spec.cameras, CameraRigSpec):
        _check_cameras(spec.cameras)
    return spec


def _read_spec(paths: ServerPaths, job: str) -> TextureJobSpec:
    path = paths.spec(job)
    if path.stat().st_size > _MAX_SPEC_BYTES:
        raise invalid("", f"The job's specification is larger than {_MAX_SPEC_BYTES} bytes.", ErrorCode.PROTO_TOO_LARGE)
    limits = DEFAULT_LIMITS
    try:
        plain = _unpackb(
            path.read_bytes(),
            raw=False,
            strict_map_key=True,
            max_array_len=limits.array_len,
            max_map_len=limits.map_len,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise invalid("", f"The job's specification is no msgpack map ({error}).", ErrorCode.PROTO_BAD_FRAME) from error
    return from_wire(TextureJobSpec, plain)


@dataclass(frozen=True)
class Arrays:
    """The arrays behind references: files of the store, whose bytes are compared with their names before they are
    believed."""

    paths: ServerPaths
    store: BlobStore
    _found: dict[ArrayRef, Rows] = field(default_factory=dict[ArrayRef, Rows], init=False)
    """A job may name one array hundreds of times."""

    def behind(self, ref: ArrayRef, path: str) -> Rows:
        """Returns the array behind a reference, to be looked at in pieces.

        Raises:
            ProtocolError: the blob is not there, is damaged, or has another size than the reference states.
        """
        if ref not in self._found:
            self._found[ref] = self._open(ref, path)
        return self._found[ref]

    def _open(self, ref: ArrayRef, path: str) -> Rows:
        try:
            size = self.store.size(ref.sha256)
            dtype = np.dtype(ref.dtype.numpy)
            expected = ref.nbytes
            if size != expected:
                shape = "x".join(map(str, ref.shape))
                raise invalid(path, f"The array holds {size} bytes; {shape} values of {dtype.name} take {expected}.")
            require_whole(self.paths, self.store, ref.sha256)
        except BlobError as error:
            text = f"The bytes of {path} are not here; send them."
            raise ProtocolError(WireError(ErrorCode.INPUT_MISSING_BLOB, Retry.SAME, text, field=ref.sha256)) from error
        if expected == 0:
            return np.empty(ref.shape, dtype)
        file = self.store.path(ref.sha256)
        if expected > _MAPPED:
            return StoredArray(file, dtype, tuple(ref.shape))
        return np.memmap(file, dtype=dtype, mode="r", shape=tuple(ref.shape))


def _check_arrays(mesh: MeshSpec, arrays: Arrays, path: str, passed: Passed) -> None:
    found = {name: arrays.behind(ref, f"{path}.{name}") for name, ref in mesh.arrays().items()}
    check_mesh(mesh, found, path, passed)


def _check_images(images: Sequence[TileImage] | None, arrays: Arrays, path: str, channels: int | None) -> None:
    """Square images of bytes, of one size, at most one a tile."""
    limits, first = DEFAULT_LIMITS, 0
    tiles: set[int] = set()
    for index, image in enumerate(images or ()):
        here = f"{path}[{index}]"
        shape = tuple(image.array.shape)
        if image.array.dtype != DType.U8:
            raise invalid(f"{here}.array", f"Got {image.array.dtype.name.lower()}; expected bytes (u8).")
        if len(shape) != (2 if channels is None else 3) or (channels is not None and shape[2] != channels):
            expected = "[H, W]" if channels is None else f"[H, W, {channels}]"
            raise invalid(f"{here}.array", f"Got an array of shape {list(shape)}; expected {expected}.")
        side = shape[0]
        if side != shape[1] or not limits.image_min <= side <= limits.image_max or side & (side - 1):
            raise invalid(
                f"{here}.array",
                f"Got {shape[1]}x{side} pixels; expected a square whose side is a power of two from "
                f"{limits.image_min} to {limits.image_max}.",
            )
        first = first or side
        if side != first:
            raise invalid(f"{here}.array", "The images have different sizes; send all tiles at one size.")
        if image.tile in tiles:
            raise invalid(f"{here}.tile", f"Tile {image.tile} comes twice.")
        tiles.add(image.tile)
        arrays.behind(image.array, f"{here}.array")


def _check_named(given: ConditionsSpec, files: NamedFiles) -> None:
    """What the job chooses by name is on the owner's list, and where it was."""
    for index, control in enumerate(given.controls):
        if control.model:
            find_named(files, control.kind, control.model, f"conditions.controls[{index}].model")
    if given.reference is not None and given.reference.adapter:
        find_named(files, ADAPTER, given.reference.adapter, "conditions.reference.adapter")


def _check_reference(reference: ReferenceSpec | None, arrays: Arrays) -> None:
    """A picture of which something can be seen."""
    if reference is None:
        return
    path = "conditions.reference.image"
    rows = arrays.behind(reference.image, path)
    height, width, channels = reference.image.shape
    # The rows and columns that a run looks at (`pgc.images.likeness`).
    step = -(-max(height, width) // _LOOKED_AT)
    if channels == 4 and not bool((rows[::step, ::step, 3] >= 128).any()):
        raise invalid(path, "All of the picture is transparent, so it has no colors to give; take another one.")


def _check_cameras(rig: CameraRigSpec) -> None:
    for index, camera in enumerate(rig.cameras):
        for name in ("world_to_camera", "projection"):
            matrix = np.array(getattr(camera, name), np.float64).reshape(4, 4)
            if not np.isfinite(matrix).all() or abs(float(np.linalg.det(matrix))) < 1e-12:
                raise invalid(f"cameras.cameras[{index}].{name}", "The matrix is not finite, or cannot be inverted.")
