# SPDX-License-Identifier: Apache-2.0
"""Small glTF files in code: what exporters write, and what they should not."""

import base64
import json
import struct

import numpy as np

COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
SHAPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}

SQUARE = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], np.float32)
SQUARE_UVS = np.array([(0.125, 0.25), (0.75, 0.25), (0.75, 0.875), (0.125, 0.875)], np.float32)
SQUARE_FACES = np.array([(0, 1, 2), (0, 2, 3)], np.uint16)


class Builder:
    """A document that grows, with its one buffer."""

    def __init__(self):
        self.data = bytearray()
        self.json = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": []}],
            "nodes": [],
            "meshes": [],
            "accessors": [],
            "bufferViews": [],
        }

    def view(self, data, **more):
        """Number of a new buffer view."""
        self.data += b"\0" * (-len(self.data) % 4)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **more})
        self.data += data
        return len(self.json["bufferViews"]) - 1

    def accessor(self, values, *, view=None, **more):
        """Number of a new accessor over its own view, or over `view` without one."""
        values = np.asarray(values)
        values = values.reshape(len(values), -1)
        kind = f"{values.dtype.kind}{values.dtype.itemsize}"
        entry = {"componentType": COMPONENTS[kind], "count": len(values), "type": SHAPES[values.shape[1]], **more}
        entry["bufferView"] = (
            self.view(values.astype(values.dtype.newbyteorder("<")).tobytes()) if view is None else view
        )
        self.json["accessors"].append(entry)
        return len(self.json["accessors"]) - 1

    def raw_accessor(self, **entry):
        self.json["accessors"].append(entry)
        return len(self.json["accessors"]) - 1

    def mesh(self, *primitives, **more):
        self.json["meshes"].append({"primitives": list(primitives), **more})
        return len(self.json["meshes"]) - 1

    def node(self, *, root=True, **entry):
        self.json["nodes"].append(entry)
        if root:
            self.json["scenes"][0]["nodes"].append(len(self.json["nodes"]) - 1)
        return len(self.json["nodes"]) - 1

    def square(self, **attributes):
        """A primitive of two triangles with UVs; attributes replace or add accessors."""
        named = {"POSITION": self.accessor(SQUARE), "TEXCOORD_0": self.accessor(SQUARE_UVS), **attributes}
        return {"attributes": named, "indices": self.accessor(SQUARE_FACES.ravel())}

    def shown(self, *primitives, **node):
        """The builder with a mesh of the primitives, shown by a node."""
        self.node(mesh=self.mesh(*primitives), **node)
        return self

    def document(self, **buffer):
        return {**self.json, "buffers": [{"byteLength": len(self.data), **buffer}]}

    def glb(self):
        return glb(self.document(), bytes(self.data))

    def gltf(self, uri=None):
        """JSON text; the buffer as a data URI unless a URI is given."""
        uri = uri or "data:application/octet-stream;base64," + base64.b64encode(bytes(self.data)).decode()
        return json.dumps(self.document(uri=uri)).encode()

    def load(self, tmp_path):
        """What `load_mesh` makes of it."""
        return load(tmp_path, self.glb())


def glb(document, binary, *, extra=()):
    """A GLB; `extra` are (type, bytes) of chunks after the first."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    parts = [(0x4E4F534A, text + b" " * (-len(text) % 4)), *extra]
    parts += [(0x004E4942, binary + b"\0" * (-len(binary) % 4))] if binary else []
    body = b"".join(struct.pack("<II", len(data), kind) + data for kind, data in parts)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def load(tmp_path, data, name="m.glb"):
    from pgc.mesh import load_mesh

    path = tmp_path / name
    path.write_bytes(data)
    return load_mesh(path)


def corners(mesh):
    """Positions [F, 3, 3] of all triangles."""
    return mesh.positions[mesh.corner_positions].reshape(-1, 3, 3)


def uv_corners(mesh):
    """UVs [F, 3, 2] of all triangles."""
    return mesh.uvs[mesh.corner_uvs].reshape(-1, 3, 2)


def flipped(uvs):
    """UVs as glTF stores them to V up."""
    return np.stack([uvs[..., 0], 1.0 - uvs[..., 1]], axis=-1)
