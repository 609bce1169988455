# SPDX-License-Identifier: Apache-2.0
"""MaterialX: the maps as a `standard_surface` material in a .mtlx file, for renderers and for look development.

MaterialX 1.38 ("MaterialX Specification", "Physically Based Shading Nodes"); later libraries read it as their own. It
names the images beside it, all tiles of a UDIM set by one name with <UDIM> in it, and holds no mesh.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from pgc.export.surface_images import SurfaceImages, check_tiles
from pgc.maps import MAPS
from pgc.mesh.data import PreparedMesh
from pgc.whole_files import write_bytes

__all__ = ["write_materialx"]

_INPUTS = {"base_color": "base_color", "roughness": "specular_roughness", "metallic": "metalness"}
"""Inputs of the surface by map; the normal map has nodes of its own, and occlusion no input."""
_TYPES = {1: "float", 3: "color3"}


def write_materialx(path: Path, prepared: PreparedMesh, images: SurfaceImages) -> None:
    """Writes a MaterialX file whose images lie beside it.

    Args:
        path: ends in .mtlx; its stem names the material.
        prepared: the mesh that the material belongs to, for its tiles.
        images: what the material shows. Occlusion is left out: path tracers find it themselves.

    Raises:
        MeshError: an image for a tile is missing.
        OutputError: the file cannot be written.
    """
    check_tiles(images.files, prepared)
    document = ET.Element("materialx", version="1.38", colorspace="lin_rec709")
    graph = ET.SubElement(document, "nodegraph", name="maps")
    surface = ET.SubElement(document, "standard_surface", name="surface", type="surfaceshader")
    # The standard's own base is 0.8 of the colour.
    _value(surface, "base", "float", "1")
    for map_name, name in _INPUTS.items():
        file = images.path_of(map_name)
        kind = _TYPES[MAPS[map_name].channels]
        if file is None:
            _value(surface, name, kind, ", ".join(f"{value:g}" for value in MAPS[map_name].neutral))
            continue
        _image(graph, map_name, kind, file, encoded=MAPS[map_name].is_color and images.color_is_encoded)
        _connected(graph, surface, name, kind, map_name)
    if (file := images.path_of("base_color")) is not None and images.has_alpha:
        _opacity(graph, surface, file)
    if (file := images.path_of("normal")) is not None:
        _normal(graph, surface, file, down=images.normal_green == "directx")
    material = ET.SubElement(document, "surfacematerial", name=path.stem, type="material")
    ET.SubElement(material, "input", name="surfaceshader", type="surfaceshader", nodename="surface")
    ET.indent(document)
    write_bytes(path, b'<?xml version="1.0"?>\n' + ET.tostring(document, encoding="utf-8") + b"\n")


def _value(node: ET.Element, name: str, kind: str, value: str) -> None:
    ET.SubElement(node, "input", name=name, type=kind, value=value)


def _image(graph: ET.Element, name: str, kind: str, file: str, *, encoded: bool) -> None:
    image = ET.SubElement(graph, "image", name=name, type=kind)
    given = ET.SubElement(image, "input", name="file", type="filename", value=file)
    if encoded:
        given.set("colorspace", "srgb_texture")


def _connected(graph: ET.Element, surface: ET.Element, name: str, kind: str, node: str) -> None:
    """Lets a node of the graph be an input of the surface."""
    ET.SubElement(graph, "output", name=f"{name}_out", type=kind, nodename=node)
    ET.SubElement(surface, "input", name=name, type=kind, nodegraph="maps", output=f"{name}_out")


def _opacity(graph: ET.Element, surface: ET.Element, file: str) -> None:
    """Opacity is the fourth channel of base colour, for all three colours."""
    _image(graph, "base_color_alpha", "color4", file, encoded=False)
    channels = ET.SubElement(graph, "separate4", name="channels", type="multioutput")
    ET.SubElement(channels, "input", name="in", type="color4", nodename="base_color_alpha")
    opacity = ET.SubElement(graph, "combine3", name="opacity", type="color3")
    for number in (1, 2, 3):
        ET.SubElement(opacity, "input", name=f"in{number}", type="float", nodename="channels", output="outa")
    _connected(graph, surface, "opacity", "color3", "opacity")


def _normal(graph: ET.Element, surface: ET.Element, file: str, *, down: bool) -> None:
    """Normals are vectors, with green up; one that points down is turned."""
    _image(graph, "normal", "vector3", file, encoded=False)
    source = "normal"
    if down:
        for node, name, value in (("multiply", "turned", "1, -1, 1"), ("add", "moved", "0, 1, 0")):
            made = ET.SubElement(graph, node, name=name, type="vector3")
            ET.SubElement(made, "input", name="in1", type="vector3", nodename=source)
            _value(made, "in2", "vector3", value)
            source = name
    normal = ET.SubElement(graph, "normalmap", name="normal_map", type="vector3")
    ET.SubElement(normal, "input", name="in", type="vector3", nodename=source)
    _connected(graph, surface, "normal", "vector3", "normal_map")
