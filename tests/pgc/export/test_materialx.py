# SPDX-License-Identifier: Apache-2.0
"""MaterialX files, read and validated with MaterialX's own library."""

import MaterialX as mx
import pytest

from pgc.errors import MeshError
from pgc.export.materialx import write_materialx
from pgc.export.surface_images import SurfaceImages
from pgc.mesh import prepare_mesh
from tests.pgc.export.awkward import AWKWARD
from tests.pgc.export.test_usd import images_of


@pytest.fixture(scope="module")
def library():
    document = mx.createDocument()
    mx.loadLibraries(mx.getDefaultDataLibraryFolders(), mx.getDefaultDataSearchPath(), document)
    return document


def written(tmp_path, library, images, name="plain"):
    write_materialx(tmp_path / "out.mtlx", prepare_mesh(AWKWARD[name]), images)
    document = mx.createDocument()
    mx.readFromXmlFile(document, str(tmp_path / "out.mtlx"))
    document.setDataLibrary(library)
    valid, message = document.validate()
    assert valid, message
    return document


def source(document, name):
    """The node that feeds an input of the surface."""
    return document.getNode("surface").getInput(name).getConnectedNode()


def file_of(node):
    return node.getInput("file").getValueString()


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("green", ["opengl", "directx"])
def test_every_map_reaches_its_input(tmp_path, library, alpha, green):
    document = written(tmp_path, library, images_of((1001,), has_alpha=alpha, normal_green=green))
    assert [node.getName() for node in document.getMaterialNodes()] == ["out"]
    assert file_of(source(document, "base_color")) == "base_color.png"
    assert source(document, "base_color").getInput("file").getColorSpace() == "srgb_texture"
    assert file_of(source(document, "specular_roughness")) == "roughness.png"
    assert file_of(source(document, "metalness")) == "metallic.png"
    assert source(document, "metalness").getInput("file").getActiveColorSpace() == "lin_rec709"
    normal = source(document, "normal")
    assert normal.getCategory() == "normalmap"
    before = normal.getInput("in").getConnectedNode()
    assert before.getCategory() == ("image" if green == "opengl" else "add")
    assert (document.getNode("surface").getInput("opacity") is not None) == alpha
    for node in document.traverseTree():
        if isinstance(node, mx.Node):
            assert node.getNodeDef() is not None, node.getName()


def test_down_becomes_up(tmp_path, library):
    document = written(tmp_path, library, images_of((1001,), normal_green="directx"))
    add = source(document, "normal").getInput("in").getConnectedNode()
    multiply = add.getInput("in1").getConnectedNode()
    value = [0.5, 0.25, 1.0]
    for node, operation in ((multiply, float.__mul__), (add, float.__add__)):
        value = [operation(a, float(b)) for a, b in zip(value, node.getInput("in2").getValue(), strict=True)]
    assert value == [0.5, 0.75, 1.0]


def test_linear_colours_say_nothing_of_srgb(tmp_path, library):
    document = written(tmp_path, library, images_of((1001,), color_is_encoded=False))
    assert source(document, "base_color").getInput("file").getActiveColorSpace() == "lin_rec709"


def test_maps_that_are_missing_are_matte_and_no_metal(tmp_path, library):
    document = written(tmp_path, library, images_of((1001,), ("base_color",)))
    surface = document.getNode("surface")
    assert (surface.getInputValue("specular_roughness"), surface.getInputValue("metalness")) == (1.0, 0.0)
    assert surface.getInput("normal") is None


def test_tiles_are_one_name(tmp_path, library):
    document = written(tmp_path, library, images_of((1001, 1002)), "udim")
    assert file_of(source(document, "base_color")) == "base_color.<UDIM>.png"


def test_a_tile_without_image_is_refused(tmp_path):
    with pytest.raises(MeshError, match="base_color has no image for UDIM tile 1002"):
        write_materialx(tmp_path / "out.mtlx", prepare_mesh(AWKWARD["udim"]), images_of((1001,)))
    assert SurfaceImages(files={}).path_of("base_color") is None
    assert list(tmp_path.iterdir()) == []
