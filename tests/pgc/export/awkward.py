# SPDX-License-Identifier: Apache-2.0
"""Meshes that writers of files stumble over, and a material to put on them."""

import io

import numpy as np
import torch
from PIL import Image

from pgc.mesh import Mesh
from pgc.texture.field import BakedTexture


def mesh_of(name, positions, polygons, uvs, *, materials=None, names=("",), normals=None, up_axis="y"):
    """A mesh whose corners have UVs one after another; `normals` are one a polygon."""
    sizes = np.array([len(polygon) for polygon in polygons], np.int32)
    count = int(sizes.sum())
    return Mesh(
        name=name,
        positions=np.asarray(positions, np.float64),
        polygon_sizes=sizes,
        corner_positions=np.concatenate(polygons).astype(np.int32),
        uvs=np.asarray(uvs, np.float32),
        corner_uvs=np.arange(count, dtype=np.int32),
        normals=None if normals is None else np.asarray(normals, np.float32),
        corner_normals=None if normals is None else np.repeat(np.arange(len(sizes)), sizes).astype(np.int32),
        material_index=np.asarray(materials or [0] * len(sizes), np.int32),
        material_names=names,
        up_axis=up_axis,
    )


SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1)]


def _scaled(points, low, high):
    return [(low + (high - low) * u, low + (high - low) * v) for u, v in points]


def box(name="box", *, tiles=1, materials=1, up_axis="y", tags=None):
    """A cube of quads: each in a sixth of a tile, tile after tile; every second chart mirrored."""
    places = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    uvs = []
    for face in range(6):
        left, low = face % 3 / 3 + 0.04 + face % tiles, face // 3 / 2 + 0.06
        chart = [(left, low), (left + 0.25, low), (left + 0.25, low + 0.38), (left, low + 0.38)]
        uvs += chart[::-1] if face % 2 else chart
    names = tags or tuple(f"part {number}" for number in range(materials))
    return mesh_of(
        name, places, quads, uvs, materials=[face % len(names) for face in range(6)], names=names, up_axis=up_axis
    )


def house():
    """A quad and a pentagon that share an edge, which is a seam in UV; and a vertex of no face."""
    points = [(0, 0, 0), (1, 0, 0), (1, 1, 0.1), (0, 1, 0.1), (1.1, 2, 1), (0.5, 3, 1), (-0.1, 2, 1), (9, 9, 9)]
    uvs = [(0, 0), (0.4, 0), (0.4, 0.4), (0, 0.4), (0.6, 0.6), (1, 0.6), (1, 0.8), (0.8, 1), (0.6, 0.8)]
    return mesh_of("house", points, [(0, 1, 2, 3), (3, 2, 4, 5, 6)], uvs)


def holes():
    """A good quad; a triangle without area in space, one without area in UV, and one with a normal of length 0."""
    points = [*[(u, v, 0) for u, v in SQUARE], (0, 0, 1), (0, 0, 2), (0, 0, 3), (2, 0, 0), (3, 0, 0), (3, 1, 0)]
    uvs = [
        *_scaled(SQUARE, 0.05, 0.45),
        (0.6, 0.1),
        (0.9, 0.1),
        (0.9, 0.4),
        *[(0.7, 0.7)] * 3,
        (0.1, 0.6),
        (0.4, 0.6),
        (0.4, 0.9),
    ]
    polygons = [(0, 1, 2, 3), (4, 5, 6), (7, 8, 9), (7, 8, 9)]
    return mesh_of("holes", points, polygons, uvs, normals=[(0, 0, 1), (0, 0, 1), (0, 0, 2), (0, 0, 0)])


def mirrored():
    """Two quads that share an edge in space and in UV, the second with the first one's texture mirrored."""
    points = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (2, 0, 0), (2, 1, 0)]
    uvs = [*_scaled(SQUARE, 0.1, 0.9), (0.9, 0.1), (0.1, 0.1), (0.1, 0.9), (0.9, 0.9)]
    return mesh_of("mirrored", points, [(0, 1, 2, 3), (1, 4, 5, 2)], uvs, up_axis="z")


def repeating():
    """A quad whose UVs run over the edge of the texture, far from the origin of space."""
    return mesh_of("repeating", [(u + 5000, v, 1e-3) for u, v in SQUARE], [(0, 1, 2, 3)], _scaled(SQUARE, -1.5, 2.5))


AWKWARD = {
    "plain": box(),
    "udim": box(tiles=2),
    "materials": box(materials=3, up_axis="z"),
    "strange names": box("naïve box/1", tags=("brass, old", "", "ölfarbe #2")),
    "n-gons": house(),
    "degenerate": holes(),
    "mirrored": mirrored(),
    "repeating": repeating(),
}


def material(tiles=(1001,), size=16, seed=0):
    """All five maps, random; normals of unit length."""
    generator = torch.Generator().manual_seed(seed)
    maps = {"base_color": 3, "roughness": 1, "metallic": 1, "occlusion": 1}
    images = {name: [torch.rand(count, size, size, generator=generator) for _ in tiles] for name, count in maps.items()}
    normals = [
        torch.randn(3, size, size, generator=generator) * torch.tensor([0.2, 0.2, 0.0])[:, None, None] for _ in tiles
    ]
    for normal in normals:
        normal[2] = 1.0
    images["normal"] = [0.5 + 0.5 * torch.nn.functional.normalize(normal, dim=0) for normal in normals]
    return BakedTexture(maps=images, tiles=tuple(tiles))


def pixels(png):
    """[h, w, c] of PNG bytes."""
    with Image.open(io.BytesIO(png)) as image:
        return np.array(image)
