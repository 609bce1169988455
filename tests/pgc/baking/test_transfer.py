# SPDX-License-Identifier: Apache-2.0
"""Transfer between UV layouts: cases known by hand, and a texel-by-texel reference."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import trimesh

from pgc.baking.transfer import TransferConfig, TransferSource, in_space_of, transfer_maps
from pgc.errors import ConfigError
from pgc.mesh import prepare_mesh
from pgc.mesh.data import TriangleMesh
from pgc.mesh.tangents import corner_tangents
from pgc.rendering.raster.reference_rasterizer import ReferenceRasterizer
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.field import BakedTexture
from pgc.texture.mip_fetch import sample_mipmapped_reference
from pgc.texture.texel_surface import texel_surface
from tests.pgc.export.awkward import AWKWARD, SQUARE, box, material, mesh_of


def mesh(positions, faces, uvs, normals=None):
    """Triangles with corner UVs [F, 3, 2]; flat normals where none are given by corner."""
    positions, faces = np.asarray(positions, np.float32), np.asarray(faces, np.int32)
    if normals is None:
        corners = positions[faces]
        flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = np.repeat((flat / np.linalg.norm(flat, axis=1, keepdims=True))[:, None], 3, axis=1)
    count = len(faces)
    return TriangleMesh(
        positions=positions,
        faces=faces,
        corner_uvs=np.asarray(uvs, np.float32),
        corner_normals=np.asarray(normals, np.float32),
        polygon_index=np.arange(count, dtype=np.int32),
        corner_index=np.arange(3 * count, dtype=np.int32).reshape(count, 3),
        material_index=np.zeros(count, np.int32),
    )


QUAD = np.array(SQUARE, np.float32)
HALVES = np.array([[0, 1, 2], [0, 2, 3]])


def sheet(*, uvs=QUAD, z=0.0, corners=QUAD):
    """A rectangle at height z that looks up."""
    points = np.concatenate([corners, np.full((4, 1), z)], axis=1)
    return mesh(points, HALVES, np.asarray(uvs)[HALVES])


def joined(first, second):
    return TriangleMesh(
        **{
            name: np.concatenate([getattr(first, name), getattr(second, name) + shift])
            for name, shift in (
                ("positions", 0),
                ("faces", np.int32(len(first.positions))),
                ("corner_uvs", 0),
                ("corner_normals", 0),
                ("polygon_index", np.int32(len(first.faces))),
                ("corner_index", np.int32(3 * len(first.faces))),
                ("material_index", 0),
            )
        }
    )


def source_of(triangles, texture, make=WarpRasterizer, **options):
    return TransferSource(triangles=triangles, texture=texture, caster=make(triangles, device="cpu"), **options)


def tilted(x, y, size=16):
    """A normal map with one and the same normal everywhere."""
    direction = F.normalize(torch.tensor([x, y, 1.0]), dim=0)
    return (0.5 + 0.5 * direction)[:, None, None].expand(3, size, size).contiguous()


def test_the_same_layout_gives_the_same_maps():
    texture = material()
    done = transfer_maps(source_of(sheet(), texture), sheet(), TransferConfig(size=16))
    assert done.missed_fraction == 0.0
    assert done.texture.maps.keys() == texture.maps.keys()
    for name, images in texture.maps.items():
        torch.testing.assert_close(done.texture.maps[name][0], images[0], atol=2e-5, rtol=0, msg=name)


def test_a_layout_turned_by_a_quarter():
    """u' = v, v' = 1 - u: the picture turns clockwise, and so do the directions of its normals."""
    turned = np.stack([QUAD[:, 1], 1.0 - QUAD[:, 0]], axis=1)
    texture = BakedTexture(maps={"roughness": material().maps["roughness"], "normal": [tilted(0.4, 0.2)]})
    done = transfer_maps(source_of(sheet(), texture), sheet(uvs=turned), TransferConfig(size=16))
    expected = torch.rot90(texture.maps["roughness"][0], -1, dims=(1, 2))
    torch.testing.assert_close(done.texture.maps["roughness"][0], expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(done.texture.maps["normal"][0], tilted(0.2, -0.4), atol=1e-5, rtol=0)


def test_a_mirrored_layout_mirrors_normals():
    mirrored = np.stack([1.0 - QUAD[:, 0], QUAD[:, 1]], axis=1)
    texture = BakedTexture(maps={"base_color": material().maps["base_color"], "normal": [tilted(0.4, 0.2)]})
    done = transfer_maps(source_of(sheet(), texture), sheet(uvs=mirrored), TransferConfig(size=16))
    torch.testing.assert_close(
        done.texture.maps["base_color"][0], texture.maps["base_color"][0].flip(2), atol=2e-5, rtol=0
    )
    torch.testing.assert_close(done.texture.maps["normal"][0], tilted(-0.4, 0.2), atol=1e-5, rtol=0)


def test_each_side_of_a_thin_sheet_keeps_its_own():
    top = sheet(uvs=QUAD * [0.5, 1.0], z=0.01)
    bottom = sheet(uvs=QUAD * [0.5, 1.0] + [0.5, 0.0], z=0.0, corners=QUAD[::-1])
    both = joined(top, bottom)
    image = torch.zeros(1, 16, 16)
    image[:, :, 8:] = 1.0
    texture = BakedTexture(maps={"roughness": [image]})
    # The target lies nearer to the other side.
    target = joined(
        sheet(uvs=QUAD * [0.5, 1.0], z=-0.002), sheet(uvs=QUAD * [0.5, 1.0] + [0.5, 0], z=0.012, corners=QUAD[::-1])
    )
    done = transfer_maps(source_of(both, texture), target, TransferConfig(size=16, reach=0.1))
    got = done.texture.maps["roughness"][0][0]
    assert (got[:, 1:7] < 0.01).all()
    assert (got[:, 9:15] > 0.99).all()


def test_fine_detail_becomes_its_mean_and_not_noise():
    checker = (torch.arange(64)[:, None] + torch.arange(64)[None]).remainder(2).float()[None]
    done = transfer_maps(
        source_of(sheet(), BakedTexture(maps={"roughness": [checker]})), sheet(), TransferConfig(size=16)
    )
    torch.testing.assert_close(done.texture.maps["roughness"][0], torch.full((1, 16, 16), 0.5), atol=1e-4, rtol=0)


def test_what_is_out_of_reach_is_counted_and_filled():
    """Half of the target has no source below it."""
    long = sheet(corners=QUAD * [2.0, 1.0])
    texture = BakedTexture(maps={"roughness": [torch.full((1, 16, 16), 0.7)], "normal": [tilted(0.3, 0.0)]})
    done = transfer_maps(source_of(sheet(), texture), long, TransferConfig(size=16))
    assert done.missed_fraction == pytest.approx(0.5, abs=0.04)
    torch.testing.assert_close(done.texture.maps["roughness"][0], torch.full((1, 16, 16), 0.7))
    assert done.texture.maps["normal"][0][0, 8, 12] == 0.5, "flat where nobody knows"
    far = transfer_maps(source_of(sheet(), texture), sheet(z=0.1), TransferConfig(size=16))
    assert far.missed_fraction == 1.0


def sphere(subdivisions, layout):
    """A ball of radius 1/2 with smooth normals, each face in a cell of its own in UV; `layout` shuffles the cells."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.5)
    # Turned, so that no edge of one ball lies over an edge of another.
    ball.apply_transform(trimesh.transformations.random_rotation_matrix(np.random.default_rng(layout).random(3)))
    count = len(ball.faces)
    side = int(np.ceil(np.sqrt(count)))
    cells = np.random.default_rng(layout).permutation(side * side)[:count]
    low = np.stack([cells % side, cells // side], axis=1) / side
    uvs = low[:, None] + np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]])[None] / side
    return mesh(ball.vertices, ball.faces, uvs, ball.vertices[ball.faces] / 0.5)


def test_a_coarse_twin_gets_the_normals_of_the_fine_shape():
    fine, coarse = sphere(4, 1), sphere(1, 2)
    flat_normals = mesh(coarse.positions, coarse.faces, coarse.corner_uvs)
    texture = BakedTexture(maps={"base_color": [torch.full((3, 64, 64), 0.5)]})
    config = TransferConfig(size=128, reach=0.2, shape_normals=True)
    done = transfer_maps(source_of(fine, texture), flat_normals, config)
    assert done.missed_fraction == 0.0
    surface = texel_surface(flat_normals, 128)
    stored = done.texture.maps["normal"][0].permute(1, 2, 0).numpy()[surface.inside] * 2 - 1
    faces, weights = surface.face_index[surface.inside], surface.barycentrics[surface.inside]
    frame = corner_tangents(flat_normals)
    tangent, normal = frame[faces, 0, :3], flat_normals.corner_normals[faces, 0]
    bitangent = frame[faces, 0, 3:] * np.cross(normal, tangent)
    world = stored[:, :1] * tangent + stored[:, 1:2] * bitangent + stored[:, 2:] * normal
    # A ray goes along the coarse face's normal from its point; a ball's normal there is the place that it meets.
    points = np.einsum("nk,nkd->nd", weights, flat_normals.positions[flat_normals.faces[faces]])
    along = (points * normal).sum(axis=1)
    ahead = -along + np.sqrt(along**2 + 0.25 - (points**2).sum(axis=1))
    expected = (points + ahead[:, None] * normal) / 0.5
    degrees = np.degrees(np.arccos(np.clip((world * expected).sum(axis=1), -1, 1)))
    bare = np.degrees(np.arccos(np.clip((normal * expected).sum(axis=1), -1, 1)))
    assert bare.mean() > 5.0, "without the map the coarse shape shows"
    assert degrees.max() < 0.5


def reference(source, target, config):
    """Maps of tile 1001 texel by texel; where nothing is found: NaN."""
    surface = texel_surface(target, config.size, reach=0.5)
    corners = source.triangles.positions[source.triangles.faces].astype(np.float64)
    reach = config.reach * np.ptp(corners.reshape(-1, 3), axis=0).max()
    tangents = [corner_tangents(source.triangles), corner_tangents(target)]
    maps = {
        name: np.full((len(images[0]), config.size, config.size), np.nan)
        for name, images in source.texture.maps.items()
    }
    for row, column in zip(*np.nonzero(surface.face_index >= 0), strict=True):
        direction = surface.normal[row, column].astype(np.float64)
        hit = _nearest(corners, surface.position[row, column].astype(np.float64), direction, reach)
        if hit is None:
            continue
        face, weights = hit
        uv = weights @ source.triangles.corner_uvs[face]
        here = surface.face_index[row, column]
        # The footprint by the plain chain: texel step -> target surface -> along the ray -> source surface -> UV.
        to_target = _uv_to_space(target, here)
        to_source = _uv_to_space(source.triangles, face)
        plane = np.linalg.inv(np.stack([*to_source.T, -direction], axis=1))
        steps = [
            plane @ (to_target @ step) for step in (np.array([1, 0]) / config.size, np.array([0, -1]) / config.size)
        ]
        footprint = torch.tensor(np.concatenate([step[:2] for step in steps]), dtype=torch.float32)[None, :, None, None]
        frames = [
            _frame(one.corner_normals[at], tangent[at], w)
            for one, tangent, at, w in (
                (source.triangles, tangents[0], face, weights),
                (target, tangents[1], here, surface.barycentrics[row, column]),
            )
        ]
        for name, images in source.texture.maps.items():
            mips = [torch.stack(images)]
            while mips[-1].shape[-1] > 1:
                mips.append(F.avg_pool2d(mips[-1], 2))
            place = torch.tensor(uv, dtype=torch.float32)[None, :, None, None]
            value = sample_mipmapped_reference(mips, place, footprint, mask=torch.ones(1, 1, 1, 1, dtype=torch.bool))
            value = value[0, :, 0, 0].double().numpy()
            if name == "normal":
                turned = frames[1] @ (frames[0].T @ (value * 2 - 1))
                value = 0.5 + 0.5 * turned / np.linalg.norm(turned)
            maps[name][:, row, column] = value
    return maps


def _nearest(corners, point, direction, reach):
    best = None
    for face, (a, b, c) in enumerate(corners):
        normal = np.cross(b - a, c - a)
        if normal @ direction <= 0:
            continue
        t = ((a - point) @ normal) / (normal @ direction)
        weights = np.linalg.lstsq(np.stack([a, b, c], axis=1), point + t * direction, rcond=None)[0]
        if abs(t) <= reach and weights.min() >= -1e-6 and (best is None or abs(t) < best[0]):
            best = abs(t), face, weights
    return None if best is None else best[1:]


def _uv_to_space(triangles, face):
    """[3, 2]: what a step in UV is in space."""
    a, b, c = triangles.positions[triangles.faces[face]].astype(np.float64)
    p, q, r = triangles.corner_uvs[face].astype(np.float64)
    return np.stack([b - a, c - a], axis=1) @ np.linalg.inv(np.stack([q - p, r - p], axis=1))


def _frame(normals, tangents, weights):
    """Rows tangent, bitangent, normal."""
    normal = weights @ normals
    normal = normal / np.linalg.norm(normal)
    tangent = weights @ tangents[:, :3]
    tangent = tangent - normal * (tangent @ normal)
    tangent = tangent / np.linalg.norm(tangent)
    return np.stack([tangent, tangents[0, 3] * np.cross(normal, tangent), normal])


@pytest.mark.slow
@pytest.mark.parametrize("make", [WarpRasterizer, ReferenceRasterizer])
def test_it_is_what_the_slow_reference_says(make):
    fine, coarse = sphere(1, 1), sphere(0, 2)
    source = source_of(fine, material(size=64), make)
    config = TransferConfig(size=32, reach=0.3)
    expected = reference(source, coarse, config)
    done = transfer_maps(source, coarse, config)
    for name, slow in expected.items():
        known = np.isfinite(slow).all(axis=0)
        assert known.mean() > 0.3
        apart = np.abs(done.texture.maps[name][0].numpy() - slow).max(axis=0)[known]
        # A ray that meets an edge may take either triangle; the two may hold quite different texels.
        assert (apart < 2e-3).mean() > 0.99, name


@pytest.mark.slow
def test_tiles_and_gutter():
    prepared = prepare_mesh(AWKWARD["udim"])
    texture = material((1001, 1002))
    source = source_of(prepared.triangles, texture)
    one = prepare_mesh(box())
    done = transfer_maps(source, in_space_of(one, prepared), TransferConfig(size=64))
    assert done.texture.tiles == (1001,)
    back_source = source_of(one.triangles, done.texture)
    back = transfer_maps(back_source, prepared.triangles, TransferConfig(size=64), tiles=(1001, 1002))
    assert back.texture.tiles == (1001, 1002)
    for name, images in back.texture.maps.items():
        for number, image in enumerate(images):
            surface = texel_surface(prepared.triangles, 64, 1001 + number)
            coarse = F.interpolate(texture.maps[name][number][None], size=64, mode="bilinear", align_corners=False)[0]
            apart = (image - coarse).abs().numpy()[:, surface.inside]
            assert np.median(apart) < 0.05, name
            assert float(image.sum(dim=0).min()) > 0.0, "no texel is left empty"


def test_twins_of_other_axes_and_places():
    """A Z-up and a Y-up file of the same thing, moved: they lie on each other once both are Z-up."""
    first, second = box(up_axis="z"), box()
    z_up = first.positions + np.float32([5, 1, 2])
    y_up = np.stack([z_up[:, 0], z_up[:, 2], -z_up[:, 1]], axis=1)
    fields = {name: getattr(second, name) for name in type(second).__slots__}
    source = prepare_mesh(type(first)(**{**fields, "positions": z_up, "up_axis": "z"}))
    target = prepare_mesh(type(second)(**{**fields, "positions": y_up}))
    moved = in_space_of(target, source)
    np.testing.assert_allclose(moved.positions, source.triangles.positions, atol=1e-6)


@pytest.mark.slow
def test_a_repeating_layout_is_read_over_its_edge():
    wide = mesh_of("wide", [(u, v, 0) for u, v in SQUARE], [(0, 1, 2, 3)], [(2 * u, 2 * v) for u, v in SQUARE])
    prepared = prepare_mesh(wide)
    assert prepared.report.needs_repeat
    texture = BakedTexture(maps={"roughness": material(size=8).maps["roughness"]})
    source = source_of(prepared.triangles, texture, repeat=True)
    target = prepare_mesh(mesh_of("one", [(u, v, 0) for u, v in SQUARE], [(0, 1, 2, 3)], SQUARE))
    done = transfer_maps(source, in_space_of(target, prepared), TransferConfig(size=16))
    image = texture.maps["roughness"][0]
    # The chart was moved by a whole unit, which a repeating texture does not notice.
    torch.testing.assert_close(done.texture.maps["roughness"][0], image.repeat(1, 2, 2), atol=1e-4, rtol=0)


@pytest.mark.parametrize("wrong", [{"size": 100}, {"size": 0}, {"reach": 0.0}, {"reach": 2.0}])
def test_impossible_settings(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TransferConfig(**wrong)
