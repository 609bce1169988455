# SPDX-License-Identifier: Apache-2.0
"""KHR_draco_mesh_compression, by the library DracoPy where it is installed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from pgc.errors import MeshError
from pgc.gltf_reading.accessors import Accessor
from pgc.gltf_reading.buffers import Buffers
from pgc.gltf_reading.fields import Fields

__all__ = ["DracoPrimitive", "open_draco"]

_EXTENSION = "KHR_draco_mesh_compression"


@dataclass(frozen=True, slots=True, eq=False)
class DracoPrimitive:
    """What the compressed bytes of one primitive hold."""

    attributes: dict[str, Accessor]
    faces: Int64[np.ndarray, "F 3"]
    """Also where the primitive's mode is a strip."""


def open_draco(buffers: Buffers, primitive: Fields) -> DracoPrimitive | None:
    """The decoded primitive; None where it is not compressed, or holds the same uncompressed beside it.

    Raises `MeshError` where DracoPy is not installed, or cannot decode the bytes.
    """
    packed = primitive.extension(_EXTENSION)
    if packed is None or _has_fallback(buffers, primitive):
        return None
    decoded = _decode(packed, bytes(buffers.view(packed.integer("bufferView"))))
    by_id = {int(attribute["unique_id"]): np.asarray(attribute["data"]) for attribute in decoded.attributes}
    attributes: dict[str, Accessor] = {}
    named = packed.child("attributes")
    for name in named.values:
        data = by_id.get(named.integer(name))
        if data is None:
            raise MeshError(
                f"{packed.source}: the Draco data of {packed.place} has no attribute number {named.integer(name)} "
                f"({name}); the file is damaged: export it again."
            )
        attributes[name] = _as_accessor(buffers, primitive, name, data)
    return DracoPrimitive(attributes, np.asarray(decoded.faces).astype(np.int64).reshape(-1, 3))


def _has_fallback(buffers: Buffers, primitive: Fields) -> bool:
    """Whether the file can be read without the extension, and this primitive's positions have bytes of their own."""
    root = buffers.document.root
    named = primitive.child("attributes").optional_integer("POSITION")
    return (
        not buffers.document.requires(_EXTENSION)
        and named is not None
        and "bufferView" in root.item("accessors", named)
    )


def _decode(packed: Fields, data: bytes) -> Any:  # noqa: ANN401
    try:
        import DracoPy
    except ImportError as exc:
        raise MeshError(
            f"{packed.source}: the glTF is compressed ({_EXTENSION}), which needs the package DracoPy "
            "(pip install DracoPy); install it, or export uncompressed."
        ) from exc
    try:
        decoded = DracoPy.decode(data)
    except Exception as exc:
        raise MeshError(
            f"{packed.source}: the Draco data of {packed.place} cannot be decoded; the file is damaged: "
            "export it again."
        ) from exc
    if not hasattr(decoded, "faces"):
        raise MeshError(
            f"{packed.source}: the Draco data of {packed.place} is a cloud of points, expected triangles; "
            "export the surface."
        )
    return decoded


def _as_accessor(buffers: Buffers, primitive: Fields, name: str, data: np.ndarray) -> Accessor:
    """Decoded numbers as an accessor; whether integers are normalized is said by the file's own accessor."""
    named = primitive.child("attributes").optional_integer(name)
    described = None if named is None else buffers.document.root.item("accessors", named)
    values = data.reshape(len(data), -1)
    return Accessor(
        len(values),
        values.shape[1],
        values.dtype,
        described is not None and described.flag("normalized", False),
        values,
        np.zeros(0, np.int64),
        None,
    )
