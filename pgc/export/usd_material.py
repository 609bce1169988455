# SPDX-License-Identifier: Apache-2.0
"""UsdPreviewSurface and its textures, as the specification of that name has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgc.export.surface_images import SurfaceImages
from pgc.maps import MAPS

__all__ = ["material_lines"]


@dataclass(frozen=True, slots=True)
class _Socket:
    """Where a map goes.

    Attributes:
        input: type and name of the surface's input.
        output: type and name of the texture's output.
    """

    input: str
    output: str


_SOCKETS = {
    "base_color": _Socket("color3f inputs:diffuseColor", "float3 outputs:rgb"),
    "roughness": _Socket("float inputs:roughness", "float outputs:r"),
    "metallic": _Socket("float inputs:metallic", "float outputs:r"),
    "normal": _Socket("normal3f inputs:normal", "float3 outputs:rgb"),
    "occlusion": _Socket("float inputs:occlusion", "float outputs:r"),
}
_OPACITY = _Socket("float inputs:opacity", "float outputs:a")


def material_lines(name: str, display: str, path: str, images: SurfaceImages) -> list[str]:
    """Returns the lines of one material.

    Args:
        name: of its prim.
        display: its line of metadata.
        path: of its prim, in the file.
        images: what it shows; a map that is missing is the surface's neutral value.
    """
    shown = [(map_name, file) for map_name in _SOCKETS if (file := images.path_of(map_name)) is not None]
    sockets = [(map_name, _SOCKETS[map_name]) for map_name, _ in shown]
    if images.has_alpha and "base_color" in dict(shown):
        sockets.append(("base_color", _OPACITY))
    lines = [
        f'def Material "{name}" (\n            {display}\n        )',
        "{",
        f"    token outputs:surface.connect = <{path}/surface.outputs:surface>",
        '    def Shader "surface"',
        "    {",
        '        uniform token info:id = "UsdPreviewSurface"',
        *_neutral({map_name for map_name, _ in shown}),
        *(f"        {socket.input}.connect = <{path}/{texture}.{_name(socket.output)}>" for texture, socket in sockets),
        "        token outputs:surface",
        "    }",
        '    def Shader "uv"',
        "    {",
        '        uniform token info:id = "UsdPrimvarReader_float2"',
        '        string inputs:varname = "st"',
        "        float2 outputs:result",
        "    }",
    ]
    for map_name, file in shown:
        outputs = [socket.output for texture, socket in sockets if texture == map_name]
        lines += [f"    {line}" for line in _texture(map_name, file, path, images, outputs)]
    return [*lines, "}"]


def _name(declared: str) -> str:
    return declared.split()[-1]


def _neutral(shown: set[str]) -> Iterator[str]:
    """Values of maps that are not there; those of USD's own are another material (roughness 0.5)."""
    for map_name in ("roughness", "metallic"):
        if map_name not in shown:
            yield f"        float inputs:{map_name} = {MAPS[map_name].neutral[0]:g}"


def _texture(map_name: str, file: str, path: str, images: SurfaceImages, outputs: list[str]) -> list[str]:
    encoded = MAPS[map_name].is_color and images.color_is_encoded
    lines = [
        f'def Shader "{map_name}"',
        "{",
        '    uniform token info:id = "UsdUVTexture"',
        f"    asset inputs:file = @./{file}@",
        f'    token inputs:sourceColorSpace = "{"sRGB" if encoded else "raw"}"',
        f"    float2 inputs:st.connect = <{path}/uv.outputs:result>",
        # Beyond a tile the picture repeats, as in glTF and OBJ.
        '    token inputs:wrapS = "repeat"',
        '    token inputs:wrapT = "repeat"',
    ]
    if map_name == "normal":
        # From [0, 1] to [-1, 1]; green is turned where it points down.
        up = 1 if images.normal_green == "opengl" else -1
        lines += [f"    float4 inputs:scale = (2, {2 * up}, 2, 1)", f"    float4 inputs:bias = (-1, {-up}, -1, 0)"]
    return [*lines, *(f"    {output}" for output in outputs), "}"]
