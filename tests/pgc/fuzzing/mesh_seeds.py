# SPDX-License-Identifier: Apache-2.0
"""Small whole mesh files of every kind that the readers know, for fuzzers to damage."""

import base64
import importlib.util
import struct
from functools import cache

import numpy as np

from tests.pgc.mesh.formats.gltf.builder import SQUARE, SQUARE_FACES, SQUARE_UVS, Builder

__all__ = ["SUFFIXES", "readable", "seeds"]

SUFFIXES = (".obj", ".ply", ".stl", ".glb", ".gltf")

_POINTS = [(0, 0, 0), (1, 0, 0), (1, 1, 0.25), (0, 1, 0), (2, 0, 0.5), (2, 1, 0)]
_POLYGONS = [(0, 1, 2, 3), (1, 4, 2), (4, 5, 2), (0, 3, 5, 4, 1)]
_DRACO_SQUARE = (
    "RFJBQ08CAgEBAAAABAIAAgAAAR//AREB/wAAAgMJAgEAAAkDAAEAAgAAAD4AAIA+AABAPwAAYD8AAAA+AABgPwAAQD8AAIA+AAEBAAMDASABIAMA"
    "IISYkAAAAAAA/wcAAAAAAAAAAAAAAAAAAAAAgD8L"
)
"""By DracoPy 2.0: the square with its UVs."""
_KINDS = {"char": "b", "uchar": "B", "short": "h", "int": "i", "uint": "I", "float": "f", "double": "d"}


def _obj():
    points = "".join(f"v {x} {y} {z}\n" for x, y, z in _POINTS)
    colored = "".join(f"v {x} {y} {z} 0.5 1 {i / 9:.3g}\n" for i, (x, y, z) in enumerate(_POINTS))
    uvs = "".join(f"vt {x / 2} {y}\n" for x, y, _ in _POINTS)
    both = "".join("f " + " ".join(f"{i + 1}/{i + 1}" for i in polygon) + "\n" for polygon in _POLYGONS)
    back = "".join("f " + " ".join(str(i - 6) for i in polygon) + "\n" for polygon in _POLYGONS)
    normals = "vn 0 0 1\nvn 0 1 0\n" + "".join(
        "f " + " ".join(f"{i + 1}//{i % 2 + 1}" for i in polygon) + "\n" for polygon in _POLYGONS
    )
    return [
        "mtllib a.mtl\no part\n"
        + points
        + uvs
        + "usemtl wood, old\ns off\ng roof\n"
        + both
        + "usemtl brass\n"
        + both * 4,
        "# made by hand\r\n" + (colored + back * 5 + "l 1 2\n" + "p 1\n").replace("\n", "\r\n"),
        points + normals + "f 1 2 \\\n 3\n" + back * 5,
        points + uvs + "vn 0 0 1\n" + both.replace(" 1/1 ", " 1/1/1 ").replace(" 2/2 ", " 2//1 "),
    ]


def _ply(encoding, elements, head=""):
    order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}[encoding]
    text, body = f"ply\nformat {encoding} 1.0\ncomment seed\n{head}", b""
    for name, properties, rows in elements:
        text += f"element {name} {len(rows)}\n" + "".join(f"property {item}\n" for item in properties)
        for row in rows:
            words = []
            for item, value in zip(properties, row, strict=True):
                kinds = item.split()
                values = [len(value), *value] if kinds[0] == "list" else [value]
                codes = _KINDS[kinds[1]] + _KINDS[kinds[2]] * len(value) if kinds[0] == "list" else _KINDS[kinds[0]]
                words += map(str, values)
                body += struct.pack(order + codes, *values) if order else b""
            body += b"" if order else (" ".join(words) + "\n").encode()
    return text.encode() + b"end_header\n" + body


def _plys():
    xyz, indices = ("float x", "float y", "float z"), "list uchar int vertex_indices"
    plain = ("vertex", xyz, _POINTS)
    rich = (
        "vertex",
        ("double x", "double y", "double z", "float s", "float t", "uchar red", "uchar green", "uchar blue"),
        [(*point, point[0] / 2, point[1], 255, 0, 128) for point in _POINTS],
    )
    faces = ("face", (indices,), [(polygon,) for polygon in _POLYGONS * 4])
    wedges = (
        "face",
        (indices, "list uchar float texcoord", "int texnumber"),
        [(polygon, [0.25] * (2 * len(polygon)), i % 2) for i, polygon in enumerate(_POLYGONS * 4)],
    )
    triangles = ("face", ("uchar flags", "list int uint vertex_index"), [(1, (0, 1, 2)), (1, (1, 4, 2))])
    strips = ("tristrips", ("list int int vertex_indices",), [((0, 1, 2, -1, 1, 4, 2, 5),)])
    edges = ("edge", ("int vertex1", "int vertex2"), [(0, 1), (1, 2)])
    textures = "comment TextureFile a.png\ncomment TextureFile b.png\n"
    files = []
    for encoding in ("ascii", "binary_little_endian", "binary_big_endian"):
        files += [
            _ply(encoding, [rich, faces]),
            _ply(encoding, [plain, wedges, edges], textures),
            _ply(encoding, [edges, plain, triangles]),
            _ply(encoding, [plain, strips]),
        ]
    return files


def _stls():
    facets = [(0, 1, 2), (1, 4, 2), (4, 5, 2)] * 4
    binary = b"solid seed".ljust(80) + struct.pack("<I", len(facets))
    text = "solid my part\n"
    for facet in facets:
        corners = [_POINTS[i] for i in facet]
        binary += struct.pack("<12fH", 0, 0, 1, *(value for corner in corners for value in corner), 0)
        lines = "".join(f"    vertex {x} {y} {z}\n" for x, y, z in corners)
        text += f" facet normal 0 0 1\n  outer loop\n{lines}  endloop\n endfacet\n"
    two = (text + "endsolid my part\n").encode()
    return [binary, two, two + b"solid b\n" + two.split(b"\n", 1)[1].upper()]


def _builders():
    plain = Builder()
    plain.json["materials"] = [{"name": "wood", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    plain.json["textures"], plain.json["images"] = [{"source": 0}], [{"uri": "a.png"}]
    primitive = plain.square(COLOR_0=plain.accessor(np.full((4, 4), 255, np.uint8), normalized=True))
    child = plain.node(root=False, mesh=plain.mesh({**primitive, "material": 0}), translation=[1, 2, 3])
    plain.node(children=[child], rotation=[0, 0, 0, 1], scale=[1, -1, 1])

    packed = Builder()
    packed.json["extensionsUsed"] = packed.json["extensionsRequired"] = ["KHR_mesh_quantization"]
    small = {
        "POSITION": packed.accessor((SQUARE * 127).astype(np.int8), normalized=True),
        "TEXCOORD_0": packed.accessor((SQUARE_UVS * 65535).astype(np.uint16), normalized=True),
    }
    packed.shown({**packed.square(**small), "mode": 5}, matrix=np.eye(4).ravel().tolist())
    sparse = {
        "count": 1,
        "indices": {"bufferView": packed.view(b"\x02\x00"), "componentType": 5123},
        "values": {"bufferView": packed.view(np.float32([9, 9, 9]).tobytes())},
    }
    packed.shown(packed.square(POSITION=packed.accessor(SQUARE, sparse=sparse)))

    moving = Builder()
    target = {"POSITION": moving.accessor(SQUARE * np.float32(0.5))}
    joints = {
        "JOINTS_0": moving.accessor(np.zeros((4, 4), np.uint8)),
        "WEIGHTS_0": moving.accessor(np.tile(np.float32([1, 0, 0, 0]), (4, 1))),
    }
    mesh = moving.mesh({**moving.square(**joints), "targets": [target]}, weights=[0.5])
    joint = moving.node(translation=[0, 1, 0])
    binds = moving.accessor(np.eye(4, dtype=np.float32).reshape(1, 16))
    moving.json["skins"] = [{"joints": [joint], "inverseBindMatrices": binds}]
    moving.node(mesh=mesh, skin=0)

    copies = Builder()
    copies.json["extensionsUsed"] = copies.json["extensionsRequired"] = ["EXT_mesh_gpu_instancing"]
    places = {"TRANSLATION": copies.accessor(np.float32([(0, 0, 0), (5, 0, 0)]))}
    copies.shown(
        copies.square(TEXCOORD_1=copies.accessor(SQUARE_UVS)),
        extensions={"EXT_mesh_gpu_instancing": {"attributes": places}},
    )
    strided = copies.view(np.concatenate([SQUARE, SQUARE], axis=1).tobytes(), byteStride=24)
    copies.shown(
        {
            "attributes": {"POSITION": copies.accessor(SQUARE, view=strided)},
            "indices": copies.accessor(SQUARE_FACES.ravel()),
        }
    )
    return [plain, packed, moving, copies, _draco()]


def _draco():
    builder = Builder()
    name = "KHR_draco_mesh_compression"
    builder.json["extensionsUsed"] = builder.json["extensionsRequired"] = [name]
    packed = {
        "bufferView": builder.view(base64.b64decode(_DRACO_SQUARE)),
        "attributes": {"POSITION": 1, "TEXCOORD_0": 0},
    }
    attributes = {
        "POSITION": builder.raw_accessor(componentType=5126, count=4, type="VEC3"),
        "TEXCOORD_0": builder.raw_accessor(componentType=5126, count=4, type="VEC2"),
    }
    indices = builder.raw_accessor(componentType=5123, count=6, type="SCALAR")
    return builder.shown({"attributes": attributes, "indices": indices, "extensions": {name: packed}})


@cache
def seeds():
    """By suffix, whole files as bytes."""
    return {
        ".obj": [text.encode() for text in _obj()],
        ".ply": _plys(),
        ".stl": _stls(),
        ".glb": [builder.glb() for builder in _builders()],
        ".gltf": [builder.gltf() for builder in _builders()],
    }


def readable(data):
    """Whether a seed can be read here: one needs DracoPy, which not every system has."""
    return b"KHR_draco" not in data or importlib.util.find_spec("DracoPy") is not None
