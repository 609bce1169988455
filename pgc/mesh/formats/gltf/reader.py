# SPDX-License-Identifier: Apache-2.0
"""A glTF file's bytes to a `Mesh`."""

from pathlib import Path

from pgc.mesh.data import Mesh
from pgc.mesh.formats.gltf.assembly import assemble
from pgc.mesh.formats.gltf.binary.buffers import Buffers
from pgc.mesh.formats.gltf.document import parse_document
from pgc.mesh.formats.gltf.placing import placed_parts
from pgc.mesh.formats.gltf.scene import open_world

__all__ = ["read_gltf"]


def read_gltf(path: Path, data: bytes) -> Mesh:
    """Reads the mesh of a .glb's or .gltf's bytes; buffers beside it are read from the folder of `path`.

    All triangles of the default scene in place, in the pose and with the morph weights that the file has, as glTF
    2.0 says. What was left out or forgiven is counted in the mesh's notes. Raises `MeshError` with one sentence.
    """
    document = parse_document(path.name, data)
    buffers = Buffers(document, path.parent)
    return assemble(path.stem, document, placed_parts(buffers, open_world(document)))
