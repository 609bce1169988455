# SPDX-License-Identifier: Apache-2.0
"""glTF 2.0 files as their specification says, to one `Mesh`.

document    JSON, GLB chunks, required extensions        fields      values of the JSON, checked
binary/     numbers out of the bytes of buffers, compressed ones too
scene       which nodes show which mesh, and where       primitives  one part: faces and attributes
skins       positions that joints move                   materials   which UV set a part's material reads
assembly    all parts as one mesh                        instancing  many places of one part
"""

from pgc.mesh.formats.gltf.reader import read_gltf

__all__ = ["read_gltf"]
