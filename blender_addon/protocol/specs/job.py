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
from .models import (
    CONTROLS_OF,
    FLOW_MODELS,
    LORA_NAME_LETTERS,
    MOST_LORAS,
    READERS,
    EmbeddingSpec,
    LoraSpec,
    ModelSpec,
    check_words,
)
from .picture import PICTURE_MODEL, PictureSpec
from .settings import SettingsSpec
from .shape import MOST_VOLUME_RESOLUTION, NEW_SHAPE, ShapeSpec, check_shape_mesh, check_shape_model, check_unused

__all__ = [
    "CONTROLS_OF",
    "FLOW_MODELS",
    "LIT_MAPS",
    "LORA_NAME_LETTERS",
    "MOST_LORAS",
    "NEW_SHAPE",
    "NEW_UVS",
    "PICTURE_MODEL",
    "CameraRigSpec",
    "CameraSamplerSpec",
    "CameraSpec",
    "ConditionsSpec",
    "ControlSpec",
    "DistillationSpec",
    "EmbeddingSpec",
    "LightingSpec",
    "LoraSpec",
    "MapName",
    "MemoryPlanSpec",
    "MeshSpec",
    "ModelSpec",
    "PictureSpec",
    "PreviewSpec",
    "Priority",
    "PromptSpec",
    "ReferenceSpec",
    "RegulationSpec",
    "SettingsSpec",
    "ShapeSpec",
    "TextureJobSpec",
    "TileImage",
]

MapName = Literal["base_color", "roughness", "metallic", "normal", "occlusion", "corner_uvs", "shape"]
NEW_UVS: Final = "corner_uvs"
"""Among the maps of a job: no texture, but new UVs for its mesh (since 1.1, where WELCOME offers it)."""
LIT_MAPS: Final = frozenset({"roughness", "metallic", "normal"})
"""Maps that only light shows: a server takes longer over a step, and needs more memory."""
_CHANNELS_BESIDE: Final = {"roughness": None, "metallic": None, "normal": 3, "occlusion": None}
"""Maps beside base colour that a job may bring, and the last side of their images; None: they have two sides."""
Priority = Literal["interactive", "batch"]
EnvironmentName = Literal["sky", "studio", "overcast", "colored_key"]
FrontAxisName = Literal["x", "-x", "y", "-y"]
_VIEWS = ("front", "side", "back", "overhead", "underside")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec(Strict):
    """Texts of at most 4 KiB each; `per_view`: front, side, back, overhead, underside. `text` is empty for a model that
    reads none, and only then."""

    text: str
    negative: str = ""
    view_dependent: bool = True
    front_axis: FrontAxisName = "-y"
    per_view: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        check_text("text", self.text)
        check_text("negative", self.negative)
        for view, text in self.per_view.items():
            if view not in _VIEWS:
                raise FieldError("per_view", f"Got the view {view[:40]!r}; expected one of {', '.join(_VIEWS)}.")
            check_text(f"per_view.{view}", text)


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
    initial_maps: dict[str, tuple[TileImage, ...]] = field(
        default_factory=dict[str, tuple[TileImage, ...]], metadata={LATER: True}
    )
    """Beside base colour: roughness, metallic, normal, occlusion."""
    priority: Priority = "interactive"
    name: str = ""
    shape: ShapeSpec | None = field(default=None, metadata={LATER: True})
    """Of a job for a new shape; None there: all as usual."""

    def __post_init__(self) -> None:
        self._check_prompt()
        if not 1 <= len(self.meshes) <= DEFAULT_LIMITS.meshes and not self.begins_without_mesh:
            raise FieldError("meshes", f"Got {len(self.meshes)} meshes; expected 1 to {DEFAULT_LIMITS.meshes}.")
        if not self.maps or len(set(self.maps)) != len(self.maps):
            raise FieldError("maps", "Expected one map or more, each once.")
        for name in ("lock_mask", "initial_texture"):
            tiles = [image.tile for image in getattr(self, name)]
            if len(set(tiles)) != len(tiles):
                raise FieldError(name, "Expected each tile once.")
        check_text("name", self.name)
        prompt = self.prompt
        check_words(self.guidance.embeddings, (prompt.text, prompt.negative, *prompt.per_view.values()))
        if self.reshapes:
            # Before all else: what it has no use for need not fit together.
            self._check_shape()
            return
        if self.shape is not None:
            raise FieldError("shape", f"It goes with a job whose maps are {NEW_SHAPE} alone.")
        self._check_method()
        self._check_flow()
        self._check_controls()
        self._check_start()
        self._check_initial_maps()
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
        lit = bool(LIT_MAPS.intersection(self.maps))
        told = model == "pocket" or any(control.kind == "light" for control in self.conditions.controls)
        if self.settings.explain_light and (told or not lit):
            unlit = "It finds the light of lit pictures; ask for roughness, metallic or normal too, or leave it out."
            known = "It is for models that are not told the light, as pocket and the control light are; leave it out."
            raise FieldError("settings.explain_light", known if told else unlit)
        if loss.kind == "vsd" and model == "oracle":
            raise FieldError("distillation.kind", "vsd trains a part of the prior's network, and the oracle has none.")

    @property
    def unwraps(self) -> bool:
        """Whether new UVs are wanted, and no texture."""
        return NEW_UVS in self.maps

    @property
    def reshapes(self) -> bool:
        """Whether a new mesh is wanted, and no texture."""
        return NEW_SHAPE in self.maps

    @property
    def imagines(self) -> bool:
        """Whether a new mesh is wanted that is learnt as a volume."""
        return self.reshapes and self.shape is not None and self.shape.imagines

    @property
    def begins_without_mesh(self) -> bool:
        """Whether a new mesh is wanted from the prompt alone, or from a picture."""
        return self.reshapes and self.shape is not None and not self.shape.needs_mesh

    def _check_prompt(self) -> None:
        sees = self.guidance.model == PICTURE_MODEL
        if sees and not self.reshapes:
            raise FieldError("guidance.model", "Zero123 makes objects from pictures, and no textures; take another.")
        if not sees and not self.prompt.text.strip():
            raise FieldError("prompt.text", "The prompt is empty; say what the texture is to be.")
        if sees and (self.prompt.text or self.prompt.negative or self.prompt.per_view):
            raise FieldError("prompt.text", "Zero123 reads no prompt: the picture says it all; leave it empty.")

    def _check_shape(self) -> None:
        if len(self.maps) > 1:
            raise FieldError("maps", f"Got {NEW_SHAPE} beside other maps; a new shape is a job of its own.")
        shape = self.shape or ShapeSpec()
        check_shape_mesh(shape, self.meshes)
        check_shape_model(shape, self.guidance)
        if shape.imagines and (self.settings.resolution or 0) > MOST_VOLUME_RESOLUTION:
            text = f"A volume is rendered up to {MOST_VOLUME_RESOLUTION}; ask for less."
            raise FieldError("settings.resolution", text)
        usual: dict[str, object] = {
            "cameras": CameraSamplerSpec(), "distillation": DistillationSpec(), "regulation": RegulationSpec(),
            "conditions": ConditionsSpec(), "lighting": LightingSpec(), "lock_mask": (), "initial_texture": (),
            "initial_maps": {},
        }  # fmt: skip
        check_unused({name: getattr(self, name) for name in usual}, usual, self.settings)

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
            if control.kind == "light" and not LIT_MAPS.intersection(self.maps):
                text = "It shows the light of lit pictures; ask for roughness, metallic or normal too, or leave it out."
                raise FieldError(f"conditions.controls[{index}].kind", text)
            if control.model:
                if self.guidance.model not in READERS:
                    text = f"{self.guidance.model} looks through no other ControlNet; leave it out."
                    raise FieldError(f"conditions.controls[{index}].model", text)
                continue
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
        if self.settings.warm_start and self.settings.texture_field == "hashgrid":
            raise FieldError("settings.warm_start", "A warm start paints texels; leave it or the hash grid out.")
        if self.settings.texture_field != "hashgrid":
            return
        kept = self.lock_mask or any(mesh.textured is not None for mesh in self.meshes)
        if LIT_MAPS.intersection(self.maps) or begun or kept:
            text = "A hash grid has base color alone, starts from nothing and keeps no texel; take texels."
            raise FieldError("settings.texture_field", text)

    def _check_initial_maps(self) -> None:
        if self.settings.mask_start == "anew" and (not self.lock_mask or self.settings.strength is not None):
            text = "It is about the texels that a lock mask leaves free, of which no strength keeps some."
            raise FieldError("settings.mask_start", text)
        if self.settings.soft_edge and not self.lock_mask:
            raise FieldError("settings.soft_edge", "It is about the border of a lock mask; send one too.")
        for name, images in self.initial_maps.items():
            path = f"initial_maps.{name[:40]}"
            if name not in _CHANNELS_BESIDE:
                raise FieldError(path, f"There is no such map; expected {', '.join(_CHANNELS_BESIDE)}.")
            if not self.initial_texture or name not in {*self.maps, "roughness"}:
                raise FieldError(path, "It goes with an initial texture, and with a job that makes this map.")
            if len({image.tile for image in images}) != len(images):
                raise FieldError(path, "Expected each tile once.")
            for index, image in enumerate(images):
                if (image.array.shape[2:] or (None,))[0] != _CHANNELS_BESIDE[name]:
                    shape = "[H, W]" if _CHANNELS_BESIDE[name] is None else "[H, W, 3]"
                    raise FieldError(f"{path}[{index}].array", f"Got {list(image.array.shape)}; expected {shape}.")

    def _check_reference(self) -> None:
        reference = self.conditions.reference
        if reference is not None and reference.adapter:
            if self.guidance.model not in READERS:
                raise FieldError("conditions.reference.adapter", f"{self.guidance.model} takes none; leave it out.")
            return
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
        for name in ("loras", "embeddings"):
            if getattr(self.guidance, name):
                raise FieldError(f"guidance.{name}", "New UVs need no model; leave it out.")
        for index, mesh in enumerate(self.meshes):
            for name in {"corner_uvs", "corner_colors", "textured"} & mesh.arrays().keys():
                raise FieldError(f"meshes[{index}].{name}", "All faces get new UVs; send only those, without UVs.")

    def refs(self) -> dict[str, ArrayRef]:
        """Returns every array that the job needs, by its path in the spec."""
        found: dict[str, ArrayRef] = {}
        for index, mesh in enumerate(self.meshes):
            found |= {f"meshes[{index}].{name}": ref for name, ref in mesh.arrays().items()}
        images = {"lock_mask": self.lock_mask, "initial_texture": self.initial_texture}
        images |= {f"initial_maps.{name}": tiles for name, tiles in self.initial_maps.items()}
        images["guidance.oracle_texture"] = self.guidance.oracle_texture or ()
        for name, tiles in images.items():
            found |= {f"{name}[{index}].array": image.array for index, image in enumerate(tiles)}
        for name in ("loras", "embeddings"):
            files = getattr(self.guidance, name)
            found |= {f"guidance.{name}[{index}].file": one.file for index, one in enumerate(files)}
        if self.conditions.reference is not None:
            found["conditions.reference.image"] = self.conditions.reference.image
        if self.shape is not None and self.shape.picture is not None:
            found["shape.picture.file"] = self.shape.picture.file
        return found
