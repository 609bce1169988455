# SPDX-License-Identifier: Apache-2.0
"""What an artist asks for. Unknown fields are refused, so that no wish is ever dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from ..arrays import ArrayRef
from ..errors import FieldError
from ..fields import Strict, check_text, check_within
from ..limits import DEFAULT_LIMITS
from ..structure import LATER
from .camera import CameraRigSpec, CameraSamplerSpec, CameraSpec
from .mesh import MeshSpec, TileImage
from .method import ConditionsSpec, ControlSpec, DistillationSpec, ReferenceSpec, RegulationSpec
from .models import CONTROLS_OF, FLOW_MODELS, ModelSpec

__all__ = [
    "CONTROLS_OF",
    "FLOW_MODELS",
    "LIT_MAPS",
    "NEW_UVS",
    "CameraRigSpec",
    "CameraSamplerSpec",
    "CameraSpec",
    "ConditionsSpec",
    "ControlSpec",
    "DistillationSpec",
    "LightingSpec",
    "MapName",
    "MemoryPlanSpec",
    "MeshSpec",
    "ModelSpec",
    "PreviewSpec",
    "Priority",
    "PromptSpec",
    "ReferenceSpec",
    "RegulationSpec",
    "SettingsSpec",
    "TextureJobSpec",
    "TileImage",
]

MapName = Literal["base_color", "roughness", "metallic", "normal", "occlusion", "corner_uvs"]
NEW_UVS: Final = "corner_uvs"
"""Among the maps of a job: no texture, but new UVs for its mesh (since 1.1, where WELCOME offers it)."""
LIT_MAPS: Final = frozenset({"roughness", "metallic", "normal"})
"""Maps that only light shows: a server finds them anew, takes longer over a step, and needs more memory."""
Priority = Literal["interactive", "batch"]
EnvironmentName = Literal["sky", "studio", "overcast", "colored_key"]
FrontAxisName = Literal["x", "-x", "y", "-y"]
_VIEWS = ("front", "side", "back", "overhead", "underside")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec(Strict):
    """Texts of at most 4 KiB each; `per_view`: front, side, back, overhead, underside."""

    text: str
    negative: str = ""
    view_dependent: bool = True
    front_axis: FrontAxisName = "-y"
    per_view: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise FieldError("text", "The prompt is empty; say what the texture is to be.")
        check_text("text", self.text)
        check_text("negative", self.negative)
        for view, text in self.per_view.items():
            if view not in _VIEWS:
                raise FieldError("per_view", f"Got the view {view[:40]!r}; expected one of {', '.join(_VIEWS)}.")
            check_text(f"per_view.{view}", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSpec(Strict):
    """What the artist sets of a run; None leaves a value to the preset.

    `separate_slots`: the material slots of the meshes are different materials, of which nothing is blended.
    """

    preset: Literal["draft", "standard", "fine"] = "standard"
    seed: int = 0
    steps: int | None = None
    views: int | None = None
    resolution: int | None = None
    texture_size: int | None = None
    separate_slots: bool = False
    strength: float | None = field(default=None, metadata={LATER: True})
    """How much of the initial texture may change."""
    texture_field: Literal["texels", "hashgrid"] = field(default="texels", metadata={LATER: True})
    """What is optimised: texels, or the hash grid and the network of PGC's paper."""
    warm_start: bool | None = field(default=None, metadata={LATER: True})
    """Whether pictures from all round, sampled together, come before the first step; None: what the model does."""

    def __post_init__(self) -> None:
        check_within("seed", self.seed, 0, (1 << 63) - 1)
        check_within("steps", self.steps, 1, 1_000_000)
        check_within("strength", self.strength, 0.01, 1.0)
        check_within("views", self.views, 1, DEFAULT_LIMITS.views)
        check_within("resolution", self.resolution, 16, 4096)
        size = self.texture_size
        if size is not None and not (16 <= size <= DEFAULT_LIMITS.image_max and size & (size - 1) == 0):
            raise FieldError("texture_size", f"Got {size}; expected a power of two from 16 to 8192.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LightingSpec(Strict):
    """How the mesh is lit while it is textured.

    `preset`: as the maps need it: not at all for base_color and occlusion, by environments that change from step to
    step for the others. The further fields go with `environments`; None and () leave them to the preset.
    """

    kind: Literal["preset", "unlit", "environments"] = "preset"
    rotate: bool | None = None
    exposure: float | None = None
    environments: tuple[EnvironmentName, ...] = ()

    def __post_init__(self) -> None:
        check_within("exposure", self.exposure, 0.0, 4.0)
        if len(set(self.environments)) != len(self.environments):
            raise FieldError("environments", "Expected each environment once.")
        given = {"rotate": self.rotate, "exposure": self.exposure, "environments": self.environments or None}
        name = next((name for name, value in given.items() if value is not None), None)
        if name is not None and self.kind != "environments":
            raise FieldError(name, f"Got it with the kind {self.kind!r}; it goes with 'environments'.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlanSpec(Strict):
    """How memory is saved."""

    kind: Literal["auto"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewSpec(Strict):
    """How often pictures come during the run, in seconds, and how big their sides are, in pixels."""

    every_s: float = 0.5
    size: int = 256

    def __post_init__(self) -> None:
        check_within("every_s", self.every_s, 0.05, 3600.0)
        check_within("size", self.size, 16, 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureJobSpec(Strict):
    """A job: what SUBMIT carries."""

    meshes: tuple[MeshSpec, ...]
    prompt: PromptSpec
    cameras: CameraSamplerSpec | CameraRigSpec = field(default_factory=CameraSamplerSpec)
    settings: SettingsSpec = field(default_factory=SettingsSpec)
    guidance: ModelSpec = field(default_factory=ModelSpec)
    distillation: DistillationSpec = field(default_factory=DistillationSpec)
    regulation: RegulationSpec = field(default_factory=RegulationSpec)
    conditions: ConditionsSpec = field(default_factory=ConditionsSpec)
    lighting: LightingSpec = field(default_factory=LightingSpec)
    memory_plan: MemoryPlanSpec = field(default_factory=MemoryPlanSpec)
    preview: PreviewSpec = field(default_factory=PreviewSpec)
    maps: tuple[MapName, ...] = ("base_color",)
    lock_mask: tuple[TileImage, ...] = ()
    initial_texture: tuple[TileImage, ...] = ()
    priority: Priority = "interactive"
    name: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.meshes) <= DEFAULT_LIMITS.meshes:
            raise FieldError("meshes", f"Got {len(self.meshes)} meshes; expected 1 to {DEFAULT_LIMITS.meshes}.")
        if not self.maps or len(set(self.maps)) != len(self.maps):
            raise FieldError("maps", "Expected one map or more, each once.")
        for name in ("lock_mask", "initial_texture"):
            tiles = [image.tile for image in getattr(self, name)]
            if len(set(tiles)) != len(tiles):
                raise FieldError(name, "Expected each tile once.")
        check_text("name", self.name)
        self._check_method()
        self._check_flow()
        self._check_controls()
        self._check_start()
        self._check_reference()
        if NEW_UVS in self.maps:
            self._check_unwrap()

    def _check_method(self) -> None:
        loss, model = self.distillation, self.guidance.model
        # The built-in model's own loss has no gradient through the encoder, unless it is asked for.
        own = model == "pocket" and loss.kind in ("preset", "hifa")
        for name in ("weighting", "encoder_gradient"):
            if getattr(loss, name) != "preset" and own and not loss.latent_weight:
                raise FieldError(
                    f"distillation.{name}",
                    "It is about the gradient through the encoder; give latent_weight too, or another loss.",
                )
        if loss.kind == "vsd" and model == "oracle":
            raise FieldError("distillation.kind", "vsd trains a part of the prior's network, and the oracle has none.")

    @property
    def unwraps(self) -> bool:
        """Whether new UVs are wanted, and no texture."""
        return NEW_UVS in self.maps

    def _check_flow(self) -> None:
        model, flows = self.guidance.model, ", ".join(sorted(FLOW_MODELS))
        if self.distillation.kind == "rfds" and model not in FLOW_MODELS:
            raise FieldError(
                "distillation.kind", f"rfds is for models of straight flows ({flows}); use sds with {model}."
            )
        if self.conditions.depth_scale is not None and model in FLOW_MODELS:
            raise FieldError("conditions.depth_scale", f"There is no depth control for {model}; leave it out.")

    def _check_controls(self) -> None:
        known = CONTROLS_OF.get(self.guidance.model)
        for index, control in enumerate(self.conditions.controls):
            if known is not None and control.kind not in known:
                has = ", ".join(known) or "nothing"
                text = f"{self.guidance.model} can be shown {has}; leave {control.kind} out."
                raise FieldError(f"conditions.controls[{index}].kind", text)

    def _check_start(self) -> None:
        colored = next((index for index, mesh in enumerate(self.meshes) if mesh.corner_colors is not None), None)
        if colored is not None and self.initial_texture:
            text = "A job starts from colors of the mesh or from an initial texture; send one of the two."
            raise FieldError(f"meshes[{colored}].corner_colors", text)
        begun = colored is not None or bool(self.initial_texture)
        if self.settings.strength is not None and not begun:
            text = "It says how much of the initial texture, or of the mesh's colors, may change; send one of them too."
            raise FieldError("settings.strength", text)
        if self.settings.warm_start and (self.settings.texture_field == "hashgrid" or LIT_MAPS.intersection(self.maps)):
            text = "A warm start paints texels of base color alone; leave it, or the other maps and the hash grid, out."
            raise FieldError("settings.warm_start", text)
        if self.settings.texture_field != "hashgrid":
            return
        kept = self.lock_mask or any(mesh.textured is not None for mesh in self.meshes)
        if LIT_MAPS.intersection(self.maps) or begun or kept:
            text = "A hash grid has base color alone, starts from nothing and keeps no texel; take texels."
            raise FieldError("settings.texture_field", text)

    def _check_reference(self) -> None:
        reference = self.conditions.reference
        if reference is not None and reference.scale > 0.0 and LIT_MAPS.intersection(self.maps):
            text = "A reference's colors are for base color alone, since light would tint them; leave other maps out."
            raise FieldError("conditions.reference.scale", text)

    def _check_unwrap(self) -> None:
        if len(self.maps) > 1:
            raise FieldError("maps", f"Got {NEW_UVS} beside other maps; new UVs are a job of their own.")
        if len(self.meshes) > 1:
            raise FieldError("meshes", f"Got {len(self.meshes)} meshes; new UVs are made for one mesh a job.")
        for name in ("lock_mask", "initial_texture"):
            if getattr(self, name):
                raise FieldError(name, "New UVs need no image; leave it out.")
        if self.conditions.reference is not None:
            raise FieldError("conditions.reference", "New UVs need no image; leave it out.")
        for index, mesh in enumerate(self.meshes):
            for name in {"corner_uvs", "corner_colors", "textured"} & mesh.arrays().keys():
                raise FieldError(f"meshes[{index}].{name}", "All faces get new UVs; send only those, without UVs.")

    def refs(self) -> dict[str, ArrayRef]:
        """Returns every array that the job needs, by its path in the spec."""
        found: dict[str, ArrayRef] = {}
        for index, mesh in enumerate(self.meshes):
            found |= {f"meshes[{index}].{name}": ref for name, ref in mesh.arrays().items()}
        images = {"lock_mask": self.lock_mask, "initial_texture": self.initial_texture}
        images["guidance.oracle_texture"] = self.guidance.oracle_texture or ()
        for name, tiles in images.items():
            found |= {f"{name}[{index}].array": image.array for index, image in enumerate(tiles)}
        if self.conditions.reference is not None:
            found["conditions.reference.image"] = self.conditions.reference.image
        return found
