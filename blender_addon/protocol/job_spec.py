# SPDX-License-Identifier: Apache-2.0
"""What an artist asks for. Unknown fields are refused, so that no wish is ever dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.errors import FieldError
from blender_addon.protocol.limits import DEFAULT_LIMITS

__all__ = [
    "CameraRigSpec",
    "CameraSamplerSpec",
    "CameraSpec",
    "ConditionsSpec",
    "DistillationSpec",
    "GuidanceSpec",
    "LightingSpec",
    "MapName",
    "MemoryPlanSpec",
    "MeshSpec",
    "PreviewSpec",
    "Priority",
    "PromptSpec",
    "RegulationSpec",
    "SettingsSpec",
    "TextureJobSpec",
    "TileImage",
]

MapName = Literal["base_color", "roughness", "metallic", "normal", "occlusion"]
Priority = Literal["interactive", "batch"]
FrontAxisName = Literal["x", "-x", "y", "-y"]
ViewName = Literal["front", "side", "back", "overhead", "underside"]
_VIEWS = ("front", "side", "back", "overhead", "underside")
_FIRST_TILE, _LAST_TILE = 1001, 1999


def _text(name: str, value: str) -> None:
    size = len(value.encode("utf-8", "replace"))
    if size > DEFAULT_LIMITS.prompt:
        raise FieldError(name, f"Got {size} bytes of text; expected {DEFAULT_LIMITS.prompt} at most.")


def _within(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise FieldError(name, f"Got {value:g}; expected {low:g} to {high:g}.")


def _array(name: str, ref: ArrayRef | None, dtype: DType, *shape: int | None) -> None:
    """Raise FieldError unless `ref` has that type and shape; None in `shape` fits any side."""
    if ref is None:
        return
    if ref.dtype is not dtype:
        raise FieldError(name, f"Got an array of {ref.dtype.name}; expected {dtype.name}.")
    fits = len(ref.shape) == len(shape) and all(b is None or a == b for a, b in zip(ref.shape, shape, strict=False))
    if not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise FieldError(name, f"Got the shape {list(ref.shape)}; expected [{wanted}].")


class Strict:
    """Marks what refuses unknown fields."""

    __slots__ = ()
    STRICT: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSpec(Strict):
    """A mesh of triangles, Z up, as arrays in the server's store.

    Args:
        positions: F32 [V, 3]; faces: I32 [F, 3], indices into positions.
        corner_uvs: F32 [F, 3, 2], V up; None: the server unwraps.
        corner_normals: F32 [F, 3, 3], unit length; None: smooth.
        corner_tangents: F32 [F, 3, 4], the sign of the bitangent last; None: MikkTSpace.
        polygon_index: I32 [F], the polygon that a triangle is part of; material_index: I32 [F].
        textured: U8 [F], 1 where the face is to be textured, 0 where it keeps what it has; None: all.
    """

    name: str
    positions: ArrayRef
    faces: ArrayRef
    corner_uvs: ArrayRef | None = None
    corner_normals: ArrayRef | None = None
    corner_tangents: ArrayRef | None = None
    polygon_index: ArrayRef | None = None
    material_index: ArrayRef | None = None
    textured: ArrayRef | None = None

    def __post_init__(self) -> None:
        _text("name", self.name)
        _array("positions", self.positions, DType.F32, None, 3)
        _array("faces", self.faces, DType.I32, None, 3)
        count = self.faces.shape[0]
        if self.positions.shape[0] > DEFAULT_LIMITS.vertices:
            raise FieldError("positions", f"Got more than {DEFAULT_LIMITS.vertices} vertices.")
        if not 1 <= count <= DEFAULT_LIMITS.triangles:
            raise FieldError("faces", f"Got {count} triangles; expected 1 to {DEFAULT_LIMITS.triangles}.")
        _array("corner_uvs", self.corner_uvs, DType.F32, count, 3, 2)
        _array("corner_normals", self.corner_normals, DType.F32, count, 3, 3)
        _array("corner_tangents", self.corner_tangents, DType.F32, count, 3, 4)
        _array("polygon_index", self.polygon_index, DType.I32, count)
        _array("material_index", self.material_index, DType.I32, count)
        _array("textured", self.textured, DType.U8, count)

    def arrays(self) -> dict[str, ArrayRef]:
        """The references by field name, without those that are None."""
        names = ("positions", "faces", "corner_uvs", "corner_normals", "corner_tangents")
        names += ("polygon_index", "material_index", "textured")
        return {name: ref for name in names if (ref := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSpec(Strict):
    """A view: 4x4 matrices, row by row (16 numbers each), OpenGL axes and clip space; aspect is width over height."""

    world_to_camera: tuple[float, ...]
    projection: tuple[float, ...]
    aspect: float = 1.0

    def __post_init__(self) -> None:
        for name in ("world_to_camera", "projection"):
            if len(getattr(self, name)) != 16:
                raise FieldError(name, f"Got {len(getattr(self, name))} numbers; expected 16.")
        _within("aspect", self.aspect, 1e-3, 1e3)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRigSpec(Strict):
    """Fixed views."""

    kind: Literal["rig"] = "rig"
    cameras: tuple[CameraSpec, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.cameras) <= DEFAULT_LIMITS.views:
            raise FieldError("cameras", f"Got {len(self.cameras)} cameras; expected 1 to {DEFAULT_LIMITS.views}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSamplerSpec(Strict):
    """Random views: `sphere` from everywhere, `paper` as PGC's section 5.1."""

    kind: Literal["sampler"] = "sampler"
    sampler: Literal["sphere", "paper"] = "sphere"


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
        _text("text", self.text)
        _text("negative", self.negative)
        for view, text in self.per_view.items():
            if view not in _VIEWS:
                raise FieldError("per_view", f"Got the view {view[:40]!r}; expected one of {', '.join(_VIEWS)}.")
            _text(f"per_view.{view}", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSpec(Strict):
    """None leaves a value to the preset."""

    preset: Literal["draft", "standard", "fine"] = "standard"
    seed: int = 0
    steps: int | None = None
    views: int | None = None
    resolution: int | None = None
    texture_size: int | None = None

    def __post_init__(self) -> None:
        _within("seed", self.seed, 0, (1 << 63) - 1)
        _within("steps", self.steps, 1, 1_000_000)
        _within("views", self.views, 1, DEFAULT_LIMITS.views)
        _within("resolution", self.resolution, 16, 4096)
        size = self.texture_size
        if size is not None and not (16 <= size <= DEFAULT_LIMITS.image_max and size & (size - 1) == 0):
            raise FieldError("texture_size", f"Got {size}; expected a power of two from 16 to 8192.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TileImage(Strict):
    """An image of a UDIM tile, U8 [H, W] or [H, W, 3], row 0 at the top."""

    tile: int
    array: ArrayRef

    def __post_init__(self) -> None:
        _within("tile", self.tile, _FIRST_TILE, _LAST_TILE)
        shape = self.array.shape
        if self.array.dtype is not DType.U8 or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
            raise FieldError("array", f"Got {self.array.dtype.name} {list(shape)}; expected U8 [H, W] or [H, W, 3].")
        low, high = DEFAULT_LIMITS.image_min, DEFAULT_LIMITS.image_max
        if not all(low <= side <= high for side in shape[:2]):
            raise FieldError("array", f"Got {shape[1]} x {shape[0]} pixels; expected sides of {low} to {high}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceSpec(Strict):
    """The prior, by a key of WELCOME's models. `oracle` knows `oracle_texture`: for tests and evaluations."""

    model: str = "pocket"
    guidance_scale: float | None = None
    revision: str | None = None
    oracle_texture: tuple[TileImage, ...] | None = None

    def __post_init__(self) -> None:
        allowed = set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        if not 1 <= len(self.model) <= 64 or not allowed.issuperset(self.model):
            raise FieldError("model", "Expected a key of 1 to 64 lower-case letters, digits, dots, dashes or _.")
        _within("guidance_scale", self.guidance_scale, 0.0, 1000.0)
        _text("revision", self.revision or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationSpec(Strict):
    """`preset`: what the preset of the prior says."""

    kind: Literal["preset", "sds", "hifa"] = "preset"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegulationSpec(Strict):
    """Gradient regulation; `pgc` is PGC-N with a threshold and a norm (None: the preset's)."""

    kind: Literal["preset", "pgc", "none"] = "preset"
    threshold: float | None = None
    norm: Literal["l2", "linf"] | None = None

    def __post_init__(self) -> None:
        _within("threshold", self.threshold, 1e-9, 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionsSpec(Strict):
    """What the prior sees besides the prompt."""

    depth: bool = True
    depth_scale: float | None = None

    def __post_init__(self) -> None:
        _within("depth_scale", self.depth_scale, 0.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LightingSpec(Strict):
    """How the mesh is lit while it is textured."""

    kind: Literal["unlit"] = "unlit"


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
        _within("every_s", self.every_s, 0.05, 3600.0)
        _within("size", self.size, 16, 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureJobSpec(Strict):
    """A job: what SUBMIT carries."""

    meshes: tuple[MeshSpec, ...]
    prompt: PromptSpec
    cameras: CameraSamplerSpec | CameraRigSpec = field(default_factory=CameraSamplerSpec)
    settings: SettingsSpec = field(default_factory=SettingsSpec)
    guidance: GuidanceSpec = field(default_factory=GuidanceSpec)
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
        _text("name", self.name)

    def refs(self) -> dict[str, ArrayRef]:
        """Every array that the job needs, by its path in the spec."""
        found: dict[str, ArrayRef] = {}
        for index, mesh in enumerate(self.meshes):
            found |= {f"meshes[{index}].{name}": ref for name, ref in mesh.arrays().items()}
        images = {"lock_mask": self.lock_mask, "initial_texture": self.initial_texture}
        images["guidance.oracle_texture"] = self.guidance.oracle_texture or ()
        for name, tiles in images.items():
            found |= {f"{name}[{index}].array": image.array for index, image in enumerate(tiles)}
        return found
