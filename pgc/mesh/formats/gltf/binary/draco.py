# SPDX-License-Identifier: Apache-2.0
"""KHR_draco_mesh_compression, by the library DracoPy where it is installed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from pgc.errors import MeshError
from pgc.mesh.formats.gltf.binary.accessors import Accessor
from pgc.mesh.formats.gltf.binary.buffers import Buffers
from pgc.mesh.formats.gltf.fields import Fields

__all__ = ["DracoPrimitive", "open_draco"]

_EXTENSION = "KHR_draco_mesh_compression"
_WIDTHS = {"POSITION": (3,), "NORMAL": (3,), "TEXCOORD": (2,), "COLOR": (3, 4), "JOINTS": (4,), "WEIGHTS": (4,)}
"""How many numbers a vertex has of an attribute."""


@dataclass(frozen=True, slots=True, eq=False)
class DracoPrimitive:
    """What the compressed bytes of one primitive hold."""

    attributes: dict[str, Accessor]
    faces: Int64[np.ndarray, "F 3"]
    """Also where the primitive's mode is a strip."""


def open_draco(buffers: Buffers, primitive: Fields) -> DracoPrimitive | None:
    """Decodes a primitive. Returns None where it is not compressed, or holds the same uncompressed beside it.

    Raises `MeshError` where DracoPy is not installed, or cannot decode the bytes.
    """
    packed = primitive.extension(_EXTENSION)
    if packed is None or _has_fallback(buffers, primitive):
        return None
    decoded = _decode(packed, bytes(buffers.view(packed.integer("bufferView"))))
    by_id = {int(attribute["unique_id"]): attribute["data"] for attribute in decoded.attributes}
    attributes: dict[str, Accessor] = {}
    named = packed.child("attributes")
    for name in named.values:
        data = np.asarray(by_id.get(named.integer(name)))
        widths = _WIDTHS.get(name.partition("_")[0], (1, 2, 3, 4))
        if data.ndim != 2 or data.shape[1] not in widths or data.dtype.kind not in "iuf":
            raise MeshError(
                f"{packed.source}: the Draco data of {packed.place} has no usable attribute number "
                f"{named.integer(name)} ({name}); the file is damaged: export it again."
            )
        attributes[name] = _as_accessor(buffers, primitive, name, data)
    faces = np.asarray(decoded.faces)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise _damaged(packed)
    return DracoPrimitive(attributes, faces.astype(np.int64))


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
        raise _damaged(packed) from exc
    if not hasattr(decoded, "faces"):
        raise MeshError(
            f"{packed.source}: the Draco data of {packed.place} is a cloud of points, expected triangles; "
            "export the surface."
        )
    return decoded


def _damaged(packed: Fields) -> MeshError:
    return MeshError(
        f"{packed.source}: the Draco data of {packed.place} cannot be decoded; the file is damaged: export it again."
    )


def _as_accessor(buffers: Buffers, primitive: Fields, name: str, data: np.ndarray) -> Accessor:
    """Decoded numbers as an accessor; whether integers are normalized is said by the file's own accessor."""
    named = primitive.child("attributes").optional_integer(name)
    described = None if named is None else buffers.document.root.item("accessors", named)
    return Accessor(
        len(data),
        data.shape[1],
        data.dtype,
        described is not None and described.flag("normalized", False),
        data,
        np.zeros(0, np.int64),
        None,
    )
