# SPDX-License-Identifier: Apache-2.0
"""Maps put together as engines want them: which map goes into which channel of which image.

Each preset is a value of `Packing`; a project with rules of its own makes another. All of them take the maps of glTF
2.0 (base_color, roughness, metallic, occlusion, normal) and leave out what a texture does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError, TextureError
from pgc.images.writing import Content
from pgc.maps import MAPS, MapName, map_channels
from pgc.texture.field import BakedTexture

__all__ = [
    "GLTF",
    "GODOT",
    "PACKINGS",
    "SEPARATE",
    "UNITY_HDRP",
    "UNITY_URP",
    "UNREAL",
    "Channel",
    "NormalGreen",
    "PackedImage",
    "Packing",
    "directx_normal",
    "pack",
    "pack_orm",
    "parse_packing",
]

NormalGreen = Literal["opengl", "directx"]
"""Where green of a normal map points: up the texture (glTF, Blender, Unity, Godot), or down it (Unreal)."""
_CHANNELS = map_channels()


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of an image: a gray map, inverted if asked for, or a constant where `map` is None."""

    map: MapName | None
    invert: bool = False
    constant: float = 0.0


@dataclass(frozen=True, slots=True)
class PackedImage:
    """One image of a packing.

    Attributes:
        name: file name without suffix; {name} stands for the mesh's.
        source: a colour map that is taken whole, or channels, 1, 3 or 4 of them.
    """

    name: str
    source: MapName | tuple[Channel, ...]

    @property
    def content(self) -> Content:
        """Whether its pixels are colour or data."""
        return "color" if isinstance(self.source, str) and MAPS[self.source].is_color else "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """All images of one material for one program."""

    images: tuple[PackedImage, ...]
    normal_green: NormalGreen = "opengl"


_ROUGHNESS, _METALLIC, _OCCLUSION = Channel("roughness"), Channel("metallic"), Channel("occlusion")
_SMOOTHNESS = Channel("roughness", invert=True)
_ORM = (_OCCLUSION, _ROUGHNESS, _METALLIC)

SEPARATE = Packing(
    images=tuple(
        PackedImage(info.name, (Channel(info.name),) if info.channels == 1 else info.name) for info in MAPS.values()
    )
)
"""Each map in an image of its own, as OBJ and most renderers take them."""

GLTF = Packing(
    images=(PackedImage("base_color", "base_color"), PackedImage("orm", _ORM), PackedImage("normal", "normal"))
)
"""glTF 2.0 (specification, 3.9.2 and 3.9.3: occlusion R, roughness G, metallic B; normals with +Y up), and Blender."""

GODOT = Packing(
    images=(
        PackedImage("{name}_albedo", "base_color"),
        PackedImage("{name}_orm", _ORM),
        PackedImage("{name}_normal", "normal"),
    )
)
"""Godot 4, ORMMaterial3D. The manual ("Standard Material 3D and ORM Material 3D") asks for normals with X+, Y+, Z+;
which channel holds what only the engine's shader says (scene/resources/material.cpp: occlusion R, roughness G,
metallic B)."""

UNREAL = Packing(
    images=(
        PackedImage("T_{name}_BaseColor", "base_color"),
        PackedImage("T_{name}_ORM", _ORM),
        PackedImage("T_{name}_Normal", "normal"),
    ),
    normal_green="directx",
)
"""Unreal Engine 5: textures begin with T_ (Epic's asset naming conventions); ORM is a convention of its users, which
its own glTF code names too (API reference, FMaterial.EPackingFlags: occlusion R, roughness G, metallic B), to be
imported with sRGB off ("Using Texture Masks"). That green of its normals points down follows from its glTF exporter,
which flips it (GLTFExportOptions, adjust_normalmaps), and glTF's points up."""

UNITY_HDRP = Packing(
    images=(
        PackedImage("{name}_BaseMap", "base_color"),
        PackedImage("{name}_MaskMap", (_METALLIC, _OCCLUSION, Channel(None, constant=1.0), _SMOOTHNESS)),
        PackedImage("{name}_NormalMap", "normal"),
    )
)
"""Unity HDRP Lit (manual, "Mask and detail maps": R metallic, G occlusion, B detail mask, where 1 shows the detail map,
A smoothness = 1 − roughness)."""

UNITY_URP = Packing(
    images=(
        PackedImage("{name}_BaseMap", "base_color"),
        PackedImage("{name}_MetallicOcclusionSmoothness", (_METALLIC, _OCCLUSION, Channel(None), _SMOOTHNESS)),
        PackedImage("{name}_BumpMap", "normal"),
    )
)
"""Unity URP Lit (manual, "channel-packed texture": R metallic, G occlusion, B unused, A smoothness; the one image is
assigned to both Metallic Map and Occlusion Map, and smoothness is read from the metallic map's alpha)."""

PACKINGS = {
    "separate": SEPARATE,
    "gltf": GLTF,
    "blender": GLTF,
    "godot": GODOT,
    "unreal": UNREAL,
    "unity-hdrp": UNITY_HDRP,
    "unity-urp": UNITY_URP,
}
"""As the command line spells them."""


def parse_packing(name: str) -> Packing:
    """Returns a packing by its name. Raises ConfigError for others."""
    if name not in PACKINGS:
        raise ConfigError(f"There is no packing {name!r}; expected one of {', '.join(PACKINGS)}.")
    return PACKINGS[name]


def directx_normal(normal: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """Turns OpenGL normals as stored into DirectX ones, and back: green becomes 1 − green."""
    return torch.stack([normal[0], 1.0 - normal[1], normal[2]])


def pack_orm(texture: BakedTexture) -> list[Float[Tensor, "3 s s"]] | None:
    """Packs occlusion, roughness, metallic in R, G, B, one image a tile; None where the texture has none of them."""
    return pack(texture, PackedImage("orm", _ORM))


def pack(
    texture: BakedTexture, image: PackedImage, normal_green: NormalGreen = "opengl"
) -> list[Float[Tensor, "c s s"]] | None:
    """Makes one image of a packing, for each tile; None where the texture has nothing for it.

    Base colour has a fourth channel where the texture has alpha.

    Raises:
        TextureError: a map has another number of channels than it should.
    """
    _check(texture)
    if isinstance(image.source, str):
        whole = texture.maps.get(image.source)
        if whole is not None and image.source == "base_color" and texture.alpha is not None:
            return [torch.cat(pair) for pair in zip(whole, texture.alpha, strict=True)]
        if whole is None or image.source != "normal" or normal_green == "opengl":
            return None if whole is None else list(whole)
        return [directx_normal(normal) for normal in whole]
    if not any(channel.map in texture.maps for channel in image.source):
        return None
    return [
        torch.cat([_channel(texture, channel, tile) for channel in image.source]) for tile in range(len(texture.tiles))
    ]


def _channel(texture: BakedTexture, channel: Channel, tile: int) -> Float[Tensor, "1 s s"]:
    if channel.map is None:
        return torch.full((1, texture.size, texture.size), channel.constant)
    images = texture.maps.get(channel.map)
    size, absent = texture.size, MAPS[channel.map].neutral[0]
    values = torch.full((1, size, size), absent) if images is None else images[tile].cpu()
    return 1.0 - values if channel.invert else values


def _check(texture: BakedTexture) -> None:
    for name, images in texture.maps.items():
        for image in images:
            if len(image) != _CHANNELS.get(name, len(image)):
                raise TextureError(f"Map '{name}' has {len(image)} channels; expected {_CHANNELS[name]}.")
