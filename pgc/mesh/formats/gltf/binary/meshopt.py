# SPDX-License-Identifier: Apache-2.0
"""EXT_meshopt_compression and KHR_meshopt_compression: a buffer view's bytes from their compressed form.

Numbers and sizes come from strangers: what a view says it unpacks to is checked against what its bytes can hold.
"""

from pgc.errors import MeshError
from pgc.mesh.formats.gltf.binary.meshopt_attributes import decode_attributes
from pgc.mesh.formats.gltf.binary.meshopt_filters import apply_filter
from pgc.mesh.formats.gltf.binary.meshopt_indices import decode_indices, decode_triangles
from pgc.mesh.formats.gltf.fields import Fields

__all__ = ["decode_meshopt"]

_MAX_BYTES = 1 << 28
"""Of one view; the vertices of two million triangles without indices need less."""


def decode_meshopt(packed: Fields, data: memoryview) -> bytes:
    """Decodes the bytes of a view, `count` rows of `byteStride`. `packed` is the extension's object, `data` its bytes.

    Raises `MeshError` for modes and versions that are not known, and for bytes that do not fit.
    """
    count, stride, mode = packed.integer("count"), packed.integer("byteStride"), packed.text("mode")
    least = {"ATTRIBUTES": count * stride // 1024, "TRIANGLES": count // 3, "INDICES": count}.get(mode)
    if least is None:
        raise _damaged(packed, f"its mode is {mode[:20]!r}")
    if least > len(data) or stride > 256 or count * stride > _MAX_BYTES:
        raise _damaged(packed, f"{len(data):,} bytes cannot hold {count:,} rows of {stride} bytes")
    try:
        if mode == "ATTRIBUTES":
            decoded = decode_attributes(bytes(data), count, stride)
            return apply_filter(packed.text("filter", "NONE"), decoded).tobytes()
        indices = (decode_triangles if mode == "TRIANGLES" else decode_indices)(bytes(data), count)
        return indices.astype({2: "<u2", 4: "<u4"}[stride]).tobytes()
    except (ValueError, IndexError, KeyError) as exc:
        raise _damaged(packed, str(exc) or "they end too soon") from exc


def _damaged(packed: Fields, why: str) -> MeshError:
    return MeshError(
        f"{packed.source}: the compressed bytes of {packed.place} cannot be decoded ({why}); the file is damaged "
        "or of a newer kind: export it uncompressed (gltfpack: without -c)."
    )
