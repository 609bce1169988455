# SPDX-License-Identifier: Apache-2.0
"""A job for a new shape (since 1.2): what it is asked for, and what it has no use for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ..errors import FieldError
from ..fields import Strict, check_within
from ..structure import LATER
from .mesh import MeshSpec
from .models import FLOW_MODELS, ModelSpec
from .picture import PICTURE_MODEL, PictureSpec
from .settings import SettingsSpec

__all__ = ["MOST_SHAPE_TRIANGLES", "MOST_VOLUME_RESOLUTION", "NEW_SHAPE", "ShapeSpec", "check_shape_mesh"]
__all__ += ["check_shape_model", "check_unused"]

NEW_SHAPE: Final = "shape"
"""Among the maps of a job: no texture, but a new mesh (since 1.2, where WELCOME offers it)."""
MOST_SHAPE_TRIANGLES: Final = 400_000
"""That a shape is learnt with (`pgc.shape.prepared` has the same)."""
MOST_VOLUME_RESOLUTION: Final = 1024
"""Side of a volume's pictures (`pgc.volume.settings` has the same)."""
_MOST_CUBES, _MOST_SUBDIVISIONS = 96, 6
_OF_TEXTURES = (
    *("texture_size", "separate_slots", "strength", "texture_field", "warm_start", "mask_start", "soft_edge"),
    "explain_light",
)
_PLAIN = SettingsSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeSpec(Strict):
    """How a shape is learnt from its mesh and the prompt. Seed, steps, views and resolution are the settings'.

    loss: pictures that the prior judges: normals, shaded colors, or both.
    geometry: the mesh's own vertices, moved; a grid's surface, which may split and join; or a volume, which begins from
        the prompt alone, without a mesh.
    """

    loss: Literal["normal", "rgb", "both"] = "rgb"
    geometry: Literal["offsets", "dmtet", "volume"] = "offsets"
    cubes: int | None = None
    """Along a side of dmtet's grid."""
    subdivide: int = 0
    """How often each triangle becomes four before the run."""
    hold: bool = False
    """ControlNets are shown the mesh as it was, so that the shape stays near it."""
    latents_until: float = 0.0
    """Part of the run in which normals and outline are the prior's latents."""
    learning_rate: float | None = None
    """In a mesh of extent 1.6; None: as usual."""
    picture: PictureSpec | None = field(default=None, metadata={LATER: True})
    """Of the object that it is to be. `dmtet` then begins as its outline, turned round, without a mesh."""

    def __post_init__(self) -> None:
        check_within("cubes", self.cubes, 4, _MOST_CUBES)
        check_within("subdivide", self.subdivide, 0, _MOST_SUBDIVISIONS)
        check_within("latents_until", self.latents_until, 0.0, 1.0)
        check_within("learning_rate", self.learning_rate, 1e-6, 1.0)
        if self.cubes is not None and self.geometry != "dmtet":
            raise FieldError("cubes", "Offsets have no grid; leave the cubes out, or take dmtet.")
        if self.subdivide and self.geometry != "offsets":
            raise FieldError("subdivide", "A grid or a volume has triangles of its own; leave it out.")
        if self.imagines and (self.loss != "rgb" or self.hold):
            name = "hold" if self.hold else "loss"
            raise FieldError(name, "A volume is judged by its colors, and has no mesh to hold; leave it out.")
        if self.latents_until and self.loss == "rgb":
            raise FieldError("latents_until", "No normals are shown that could be latents; use 0, or the loss normal.")
        if self.picture is not None and (self.loss != "rgb" or self.hold):
            name = "hold" if self.hold else "loss"
            raise FieldError(name, "A shape from a picture is judged by its colors, and held by that; leave it out.")

    @property
    def imagines(self) -> bool:
        """Whether it is learnt as a volume."""
        return self.geometry == "volume"

    @property
    def needs_mesh(self) -> bool:
        """Whether it begins from a mesh that is sent."""
        return not self.imagines and (self.picture is None or self.geometry == "offsets")


def check_shape_model(shape: ShapeSpec, model: ModelSpec) -> None:
    """Checks that a prior can judge a shape's pictures, as far as its name says.

    Raises:
        FieldError: it knows none such.
    """
    if model.model == "oracle":
        raise FieldError("guidance.model", "The oracle knows a texture and no shape; take another model.")
    if model.model == PICTURE_MODEL and shape.picture is None:
        raise FieldError("shape.picture", "Zero123 judges all views by a picture of the object; send one.")
    if model.model == "pocket" and shape.loss != "rgb":
        text = "The built-in model has never seen a picture of normals; take rgb, or a Stable Diffusion model."
        raise FieldError("shape.loss", text)
    if shape.hold and model.model in FLOW_MODELS:
        raise FieldError("shape.hold", f"{model.model} has no ControlNet that would see the mesh; leave it out.")
    for name in ("guidance_scale", "revision", "oracle_texture"):
        if getattr(model, name) is not None:
            raise FieldError(f"guidance.{name}", "It is for textures; leave it out of a job for a shape.")


def check_shape_mesh(shape: ShapeSpec, meshes: tuple[MeshSpec, ...]) -> None:
    """Checks that a job has one mesh, whose triangles are not too many in the end, and nothing of a texture; or none,
    where it begins without one.

    Raises:
        FieldError: it is otherwise.
    """
    if not shape.needs_mesh:
        if meshes:
            what = "a volume begins from nothing" if shape.imagines else "a grid begins as the picture's outline"
            raise FieldError("meshes", f"Got {len(meshes)} meshes; {what}, send none.")
        return
    if len(meshes) != 1:
        raise FieldError("meshes", f"Got {len(meshes)} meshes; a shape is learnt from one mesh a job.")
    for name in meshes[0].arrays().keys() - {"positions", "faces", "corner_uvs", "material_index"}:
        raise FieldError(f"meshes[0].{name}", "A new shape does not keep it; leave it out.")
    count = meshes[0].faces.shape[0] * 4**shape.subdivide
    if count > MOST_SHAPE_TRIANGLES:
        field = "shape.subdivide" if shape.subdivide else "meshes[0].faces"
        raise FieldError(
            field, f"Got {count:,} triangles; a shape is learnt up to {MOST_SHAPE_TRIANGLES:,}. Take fewer."
        )


def check_unused(given: Mapping[str, object], usual: Mapping[str, object], settings: SettingsSpec) -> None:
    """Checks that nothing is wished that a job for a shape does not look at.

    Args:
        given: parts of a specification by their names; usual: the same where nobody wishes anything.
        settings: of the job.

    Raises:
        FieldError: something is.
    """
    wished = [name for name in given if given[name] != usual[name]]
    wished += [f"settings.{name}" for name in _OF_TEXTURES if getattr(settings, name) != getattr(_PLAIN, name)]
    if wished:
        raise FieldError(wished[0], "It is for textures; leave it out of a job for a shape.")
