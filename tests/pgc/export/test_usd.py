# SPDX-License-Identifier: Apache-2.0
"""USD files, read with OpenUSD's own library."""

from dataclasses import replace

import numpy as np
import pytest
from pxr import Gf, Sdf, Usd, UsdGeom, UsdShade, UsdValidation

from pgc.errors import MeshError
from pgc.export.surface_images import SurfaceImages
from pgc.export.usd import write_usd
from pgc.mesh import UvSet, prepare_mesh
from tests.pgc.export.awkward import AWKWARD

MAPS = ("base_color", "roughness", "metallic", "normal", "occlusion")


def images_of(tiles, maps=MAPS, **more):
    names = {
        name: {tile: f"{name}.png" if tiles == (1001,) else f"{name}.{tile}.png" for tile in tiles} for name in maps
    }
    return SurfaceImages(files=names, **more)


def written(tmp_path, mesh, maps=MAPS, **more):
    prepared = prepare_mesh(mesh)
    write_usd(tmp_path / "out.usda", prepared, images_of(prepared.report.tiles, maps, **more))
    return Usd.Stage.Open(str(tmp_path / "out.usda"))


def meshes(stage):
    return [UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]


def corners(mesh, name):
    """Values of a primvar, one a corner."""
    return np.array(UsdGeom.PrimvarsAPI(mesh).GetPrimvar(name).ComputeFlattened())


@pytest.mark.parametrize("name", AWKWARD)
def test_polygons_uvs_and_normals_are_the_callers(tmp_path, name):
    mesh = AWKWARD[name]
    stage = written(tmp_path, mesh)
    assert UsdGeom.GetStageUpAxis(stage) == mesh.up_axis.upper()
    assert stage.GetDefaultPrim().IsValid()
    found = meshes(stage)
    sizes = np.concatenate([np.array(part.GetFaceVertexCountsAttr().Get()) for part in found])
    positions = np.concatenate(
        [np.array(part.GetPointsAttr().Get())[np.array(part.GetFaceVertexIndicesAttr().Get())] for part in found]
    )
    normals = np.concatenate([np.array(part.GetNormalsAttr().Get()) for part in found])
    uvs = np.concatenate([corners(part, "st") for part in found])
    # Of polygons in the order of parts.
    order = np.argsort(mesh.part_index, kind="stable") if mesh.part_index is not None else np.arange(len(sizes))
    begin = np.cumsum(mesh.polygon_sizes) - mesh.polygon_sizes
    by_corner = np.concatenate([np.arange(begin[at], begin[at] + mesh.polygon_sizes[at]) for at in order])
    assert sizes.tolist() == mesh.polygon_sizes[order].tolist()
    expected = mesh.positions[mesh.corner_positions[by_corner]] - mesh.origin
    assert np.array_equal(positions, expected.astype(np.float32))
    assert np.array_equal(uvs, mesh.uvs[mesh.corner_uvs[by_corner]])
    assert np.linalg.norm(normals, axis=1).min() > 0.9
    if mesh.normals is not None:
        own = mesh.normals[mesh.corner_normals[by_corner]]
        has_own = (mesh.corner_normals[by_corner] >= 0) & own.any(axis=1)
        assert np.array_equal(normals[has_own], own[has_own])
    for part in found:
        extent = UsdGeom.Mesh.ComputeExtent(part.GetPointsAttr().Get())
        assert np.array_equal(np.array(extent), np.array(part.GetExtentAttr().Get()))


@pytest.mark.parametrize("name", AWKWARD)
def test_openusds_own_validators_find_nothing(tmp_path, name):
    prepared = prepare_mesh(AWKWARD[name])
    for tiles in images_of(prepared.report.tiles).files.values():
        for file in tiles.values():
            (tmp_path / file).touch()
    stage = written(tmp_path, AWKWARD[name])
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    found = UsdValidation.ValidationContext(validators).Validate(stage)
    # The check of normal maps asks for a file whose name has <UDIM> in it (OpenUSD 26.11).
    said = [error.GetErrorAsString() for error in found]
    assert [text for text in said if "normal.<UDIM>.png" not in text] == []
    (tmp_path / "normal.png").unlink(missing_ok=True)
    found = UsdValidation.ValidationContext(validators).Validate(stage)
    assert any("normal." in error.GetErrorAsString() for error in found), "it looks"


@pytest.fixture
def surface(tmp_path):
    """Writes a mesh and returns its surface's shader, whose stage lives as long as the test."""
    stages = []

    def surface_of(*given, **more):
        stages.append(written(tmp_path, *given, **more))
        (material,) = [UsdShade.Material(prim) for prim in stages[-1].Traverse() if prim.IsA(UsdShade.Material)]
        return material.ComputeSurfaceSource()[0]

    return surface_of


def texture(shader, name):
    source = shader.GetInput(name).GetConnectedSources()[0][0]
    return UsdShade.Shader(source.source.GetPrim()), source.sourceName


def test_every_map_reaches_its_input_in_its_colour_space(surface):
    shader = surface(AWKWARD["plain"])
    names = {
        "diffuseColor": ("base_color.png", "sRGB", "rgb"),
        "roughness": ("roughness.png", "raw", "r"),
        "metallic": ("metallic.png", "raw", "r"),
        "normal": ("normal.png", "raw", "rgb"),
        "occlusion": ("occlusion.png", "raw", "r"),
    }
    for name, (file, space, output) in names.items():
        node, channel = texture(shader, name)
        assert node.GetInput("file").Get().path == f"./{file}"
        assert (node.GetInput("sourceColorSpace").Get(), channel) == (space, output)
        (reader,) = node.GetInput("st").GetConnectedSources()[0]
        assert UsdShade.Shader(reader.source.GetPrim()).GetInput("varname").Get() == "st"
    node, _ = texture(shader, "normal")
    assert (node.GetInput("scale").Get(), node.GetInput("bias").Get()) == (
        Gf.Vec4f(2, 2, 2, 1),
        Gf.Vec4f(-1, -1, -1, 0),
    )
    assert not shader.GetInput("opacity").GetAttr().IsValid()


def test_alpha_linear_colours_and_normals_that_point_down(surface):
    shader = surface(AWKWARD["plain"], has_alpha=True, color_is_encoded=False, normal_green="directx")
    node, channel = texture(shader, "opacity")
    assert (node.GetInput("file").Get().path, channel) == ("./base_color.png", "a")
    assert node.GetInput("sourceColorSpace").Get() == "raw"
    node, _ = texture(shader, "normal")
    stored = np.array([0.5, 0.25, 1.0, 0.0])
    turned = stored * np.array(node.GetInput("scale").Get()) + np.array(node.GetInput("bias").Get())
    assert turned[:3].tolist() == [0.0, 0.5, 1.0]


def test_maps_that_are_missing_are_matte_and_no_metal(surface):
    shader = surface(AWKWARD["plain"], ("base_color",))
    assert (shader.GetInput("roughness").Get(), shader.GetInput("metallic").Get()) == (1.0, 0.0)


def test_tiles_are_one_name(surface):
    node, _ = texture(surface(AWKWARD["udim"]), "diffuseColor")
    assert node.GetInput("file").Get().path == "./base_color.<UDIM>.png"


def test_materials_are_subsets_of_faces_with_the_callers_names(tmp_path):
    mesh = replace(AWKWARD["materials"], material_names=("Färbe", "1st/slot", 'say "x"'))
    stage = written(tmp_path, mesh)
    (found,) = meshes(stage)
    subsets = UsdShade.MaterialBindingAPI(found).GetMaterialBindSubsets()
    assert [subset.GetIndicesAttr().Get() for subset in subsets] == [[0, 3], [1, 4], [2, 5]]
    bound = [UsdShade.MaterialBindingAPI(subset).ComputeBoundMaterial()[0].GetPrim() for subset in subsets]
    assert [prim.GetName() for prim in bound] == ["F_rbe", "_1st_slot", "say__x_"]
    assert [prim.GetDisplayName() for prim in bound] == ["Färbe", "1st/slot", 'say "x"']


def test_names_that_are_no_text(tmp_path):
    mesh = replace(AWKWARD["plain"], name="vas\udce9", material_names=("a\x07b\n",))
    stage = written(tmp_path, mesh)
    (material,) = [prim for prim in stage.Traverse() if prim.IsA(UsdShade.Material)]
    assert (material.GetName(), material.GetDisplayName()) == ("a_b_", "ab")
    assert stage.GetDefaultPrim().GetName() == "vas_"


def test_parts_colours_other_uvs_and_far_places(tmp_path):
    plain = AWKWARD["materials"]
    far = np.array([1e6, -2e6, 3e6])
    index = np.array([0, 1, 0, 1, 0, 1], np.int32)
    mesh = replace(
        plain,
        positions=plain.positions + far,
        part_index=index,
        part_names=("lid", "lid"),
        colors=np.array([[1, 0, 0, 1], [0, 1, 0, 1]], np.float32),
        corner_colors=np.array([0, 1, -1] * 8, np.int32),
        other_uv_sets=(UvSet(name="st", uvs=plain.uvs * 2, corner_uvs=plain.corner_uvs, index=1),),
    )
    stage = written(tmp_path, mesh)
    first, second = meshes(stage)
    assert (first.GetPrim().GetName(), second.GetPrim().GetName()) == ("lid", "lid_2")
    moved = UsdGeom.Xformable(first).ComputeLocalToWorldTransform(Usd.TimeCode.Default())
    places = np.array([moved.Transform(Gf.Vec3d(*map(float, point))) for point in first.GetPointsAttr().Get()])
    assert np.abs(places - far).max() == pytest.approx(1.0, abs=1e-3)
    assert corners(first, "displayColor")[:4].tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 1], [1, 0, 0]]
    assert np.array_equal(corners(second, "st_2"), 2 * corners(second, "st"))


def test_a_tile_without_image_is_refused(tmp_path):
    with pytest.raises(MeshError, match="base_color has no image for UDIM tile 1002"):
        write_usd(tmp_path / "out.usda", prepare_mesh(AWKWARD["udim"]), images_of((1001,)))
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_one_layer_of_usd(tmp_path):
    written(tmp_path, AWKWARD["plain"])
    layer = Sdf.Layer.FindOrOpen(str(tmp_path / "out.usda"))
    assert (layer.defaultPrim, layer.GetExternalAssetDependencies()) == ("box", [])
