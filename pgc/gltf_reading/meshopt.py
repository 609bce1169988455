# SPDX-License-Identifier: Apache-2.0
"""EXT_meshopt_compression: not decoded here, so refused by name."""

from pgc.errors import MeshError
from pgc.gltf_reading.fields import Fields

__all__ = ["decode_meshopt"]


def decode_meshopt(packed: Fields, data: memoryview) -> bytes:
    """Raises `MeshError`."""
    raise MeshError(
        f"{packed.source}: the glTF is compressed (EXT_meshopt_compression, {len(data):,} bytes), which is not read "
        "here; export it uncompressed (gltfpack: without -c)."
    )
