# SPDX-License-Identifier: Apache-2.0
"""Materials of a glTF: their names, and which UV set each reads."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from pgc.errors import MeshError
from pgc.mesh.formats.gltf.document import Document
from pgc.mesh.formats.gltf.fields import Fields

__all__ = ["MaterialUvs", "material_uvs"]

_OTHERS = ("normalTexture", "emissiveTexture", "occlusionTexture")


@dataclass(frozen=True, slots=True, eq=False)
class MaterialUvs:
    """What a material says of its UVs."""

    uv_set: int | None
    """The set of its base colour, else of another of its textures; None where it has no texture."""
    transform: Float64[np.ndarray, "2 3"] | None
    """KHR_texture_transform of that texture, for (u, v, 1) with V down; None where there is none."""


def material_uvs(document: Document, index: int) -> MaterialUvs:
    """Reads material number `index`; a number that does not exist counts as a material without textures."""
    if not 0 <= index < document.root.count("materials"):
        return MaterialUvs(None, None)
    try:
        return _read(document.root.item("materials", index))
    except MeshError:
        # The geometry is whole without it.
        document.notes.add("{count} time(s) a material is damaged: it was read as one without textures.")
        return MaterialUvs(None, None)


def _read(material: Fields) -> MaterialUvs:
    texture = _texture(material)
    if texture is None:
        return MaterialUvs(None, None)
    change = texture.extension("KHR_texture_transform")
    uv_set = texture.integer("texCoord", 0)
    if change is None:
        return MaterialUvs(uv_set, None)
    return MaterialUvs(change.integer("texCoord", uv_set), _transform(change))


def _texture(material: Fields) -> Fields | None:
    """The base colour's texture (also of the older specular-glossiness), else the first other one."""
    surface = material.child("pbrMetallicRoughness")
    older = material.extension("KHR_materials_pbrSpecularGlossiness")
    found = [
        surface.optional_child("baseColorTexture"),
        None if older is None else older.optional_child("diffuseTexture"),
        surface.optional_child("metallicRoughnessTexture"),
        *(material.optional_child(name) for name in _OTHERS),
    ]
    return next((texture for texture in found if texture is not None), None)


def _transform(change: Fields) -> Float64[np.ndarray, "2 3"] | None:
    """Translation · rotation · scale, as the extension's text multiplies them."""
    move = change.numbers("offset", 2) or (0.0, 0.0)
    scale = change.numbers("scale", 2) or (1.0, 1.0)
    angle = change.number("rotation", 0.0)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.array([[cosine * scale[0], sine * scale[1], move[0]], [-sine * scale[0], cosine * scale[1], move[1]]])
    return None if np.array_equal(matrix, np.eye(2, 3)) else matrix
