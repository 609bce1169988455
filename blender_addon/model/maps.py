# SPDX-License-Identifier: GPL-3.0-or-later
"""The maps of a texture as the add-on has them: one row each, read by panel, materials, previews and bakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["COLOR_MAPS", "MAPS", "PREVIEWED", "AddonMap"]

ColorSpace = Literal["srgb", "linear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddonMap:
    """What the add-on needs to know of a map.

    Attributes:
        name: as the protocol has it.
        title, description, icon: of its button in the panel.
        flag: its bit in the set of chosen maps, which files keep: never given to another map.
        socket: identifier of the Principled shader's input that takes its image as it is; "": it takes a way of its
            own (`scene.pictures.materials`).
        is_color: whether it is colour, sRGB-encoded; else it is data.
        previewed: whether it is shown while a job runs.
        default: what a bake writes where a shader has no such input.
    """

    name: str
    title: str
    description: str
    icon: str
    flag: int
    socket: str = ""
    is_color: bool = False
    previewed: bool = True
    default: float = 0.0

    @property
    def color_space(self) -> ColorSpace:
        """The colour space of its image, as the protocol has it."""
        return "srgb" if self.is_color else "linear"


_BASE_COLOR = AddonMap(
    name="base_color",
    title="Base Color",
    description="The color of the surface, without light and shadow",
    icon="COLOR",
    flag=1,
    socket="Base Color",
    is_color=True,
)
_ROUGHNESS = AddonMap(
    name="roughness",
    title="Roughness",
    description="How blurred its reflections are",
    icon="MATSPHERE",
    flag=2,
    socket="Roughness",
    default=1.0,
)
_METALLIC = AddonMap(
    name="metallic",
    title="Metallic",
    description="Where it is metal",
    icon="NODE_MATERIAL",
    flag=4,
    socket="Metallic",
)
_NORMAL = AddonMap(
    name="normal",
    title="Normal",
    description="Fine relief, as a tangent-space normal map",
    icon="NORMALS_FACE",
    flag=8,
)
_OCCLUSION = AddonMap(
    name="occlusion",
    title="Occlusion",
    description="Where little light gets, from the shape; exported to glTF",
    icon="SHADING_RENDERED",
    flag=16,
    previewed=False,
)

MAPS: Mapping[str, AddonMap] = {row.name: row for row in (_BASE_COLOR, _ROUGHNESS, _METALLIC, _NORMAL, _OCCLUSION)}
"""Every map: a new one is a row here. `tests/test_map_tables.py` holds it to the library's and the protocol's."""
PREVIEWED = tuple(name for name, row in MAPS.items() if row.previewed)
COLOR_MAPS = tuple(name for name, row in MAPS.items() if row.is_color)
