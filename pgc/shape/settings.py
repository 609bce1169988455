# SPDX-License-Identifier: Apache-2.0
"""What a shape run is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from pgc.cameras.named import CamerasConfig
from pgc.cameras.sampling import SphereSamplerConfig
from pgc.distillation.build import DistillationConfig
from pgc.errors import ConfigError
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.optimization.config import OptimizeConfig
from pgc.runs.settings.offers import PresetName
from pgc.runs.settings.presets import preset_settings
from pgc.shape.geometry.dmtet import DMTetConfig
from pgc.shape.geometry.vertex_offsets import VertexOffsetsConfig
from pgc.shape.run.pictures import PictureConfig, PictureKind

__all__ = [
    "GEOMETRIES",
    "SHAPE_LOSSES",
    "GeometryConfig",
    "ShapeSettings",
    "check_hold",
    "check_teacher",
    "geometry_named",
    "shape_settings",
]

ShapeLoss = Literal["normal", "rgb", "both"]
SHAPE_LOSSES: dict[str, tuple[PictureKind, ...]] = {"normal": ("normal",), "rgb": ("rgb",), "both": ("normal", "rgb")}
"""What --loss shows: PGC-3D's only_normal, its no_normal, and neither."""
GeometryConfig = VertexOffsetsConfig | DMTetConfig
GeometryName = Literal["offsets", "dmtet"]
GEOMETRIES: tuple[GeometryName, ...] = get_args(GeometryName)

_OF_THE_MESH = ("depth", "depth-official", "normal", "edges")
"""Controls that show a mesh."""
_FASTEST_SUBDIVISION = 6
_MOST_PIXELS = 4096
"""Of a picture's side, as on a server."""
_RATE = 0.01
_EPSILON = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeSettings:
    """What decides a shape run's outcome beside the mesh, the prompt and the prior."""

    shown: tuple[PictureKind, ...] = ("rgb",)
    """Pictures of each step that the prior judges."""
    normal_loss: DistillationConfig | None = None
    """Of pictures of normals; None: the run's own, as for all others."""
    geometry: GeometryConfig = field(default_factory=VertexOffsetsConfig)
    subdivide: int = 0
    """How often each triangle becomes four before the run. 0: the topology stays."""
    hold: bool = False
    """Whether ControlNets are shown the artist's mesh, so that the shape stays near it, and not the shape itself."""
    cameras: CamerasConfig = field(default_factory=SphereSamplerConfig)
    pictures: PictureConfig = field(default_factory=PictureConfig)
    optimize: OptimizeConfig = field(default_factory=lambda: OptimizeConfig(learning_rate=_RATE, epsilon=_EPSILON))

    def __post_init__(self) -> None:
        if not 0 <= self.subdivide <= _FASTEST_SUBDIVISION:
            raise ConfigError(f"subdivide is {self.subdivide}; it must lie in [0, {_FASTEST_SUBDIVISION}].")
        if self.optimize.resolution > _MOST_PIXELS:
            raise ConfigError(f"resolution is {self.optimize.resolution}; a shape is drawn up to {_MOST_PIXELS}.")
        if self.optimize.seed < 0:
            raise ConfigError(f"seed is {self.optimize.seed}; it must be 0 or more.")
        if isinstance(self.geometry, DMTetConfig) and self.subdivide:
            raise ConfigError("dmtet has a grid of its own, which --subdivide does not change; take --cubes.")
        if self.normal_loss is not None and "normal" not in self.shown:
            raise ConfigError("normal_loss is given, but no normals are shown; leave it out.")
        if self.pictures.latents_until and "normal" not in self.shown:
            raise ConfigError(
                f"latents_until is {self.pictures.latents_until}, but no normals are shown that could be latents; use "
                "0, or --loss normal."
            )


def geometry_named(name: str, *, cubes: int | None = None) -> GeometryConfig:
    """Returns the configuration of a geometry.

    Raises:
        ConfigError: there is none of this name, or it has no cubes.
    """
    if name == "dmtet":
        return DMTetConfig() if cubes is None else DMTetConfig(cubes=cubes)
    if name != "offsets":
        raise ConfigError(f"--geometry is {name!r}; expected one of {', '.join(GEOMETRIES)}.")
    if cubes is not None:
        raise ConfigError(f"--cubes is given ({cubes}), but offsets have no grid; take --geometry dmtet.")
    return VertexOffsetsConfig()


def shape_settings(
    loss: str, geometry: GeometryConfig, spec: GuidanceSpec, preset: PresetName = "standard"
) -> ShapeSettings:
    """Returns the settings of a run with a prior: the loss, regulation, views and steps of its texture runs of a
    preset, and rates of shapes.

    Raises:
        ConfigError: there is no such loss, or the prior cannot judge its pictures.
    """
    shown = SHAPE_LOSSES.get(loss)
    if shown is None:
        raise ConfigError(f"--loss is {loss!r}; expected one of {', '.join(SHAPE_LOSSES)}.")
    check_teacher(shown, spec)
    base = preset_settings(preset, spec)
    optimize = replace(
        base.optimize,
        learning_rate=_RATE,
        final_learning_rate=0.1,
        betas=(0.9, 0.99),
        epsilon=_EPSILON,
        average_from=1.0,
    )
    return ShapeSettings(shown=shown, geometry=geometry, cameras=base.cameras, optimize=optimize)


def check_teacher(shown: tuple[PictureKind, ...], spec: GuidanceSpec) -> None:
    """Raises ConfigError where pictures of normals are shown to a prior that never saw any, or the prior knows none."""
    if isinstance(spec, OracleSpec):
        raise ConfigError(
            "The oracle knows a texture and no prompt, so that it has no shape to aim at; take another model."
        )
    if "normal" in shown and isinstance(spec, PocketSpec):
        raise ConfigError(
            "The built-in model has never seen a picture of normals, so that its judgement of one means nothing; take "
            "--loss rgb, or a Stable Diffusion model (--guidance sd15, sd21 or sdxl)."
        )


def check_hold(spec: GuidanceSpec) -> None:
    """Raises ConfigError where the mesh is to be shown to ControlNets, and the prior has none of any strength."""
    sees = isinstance(spec, PocketSpec) and spec.run.control_scale > 0.0
    if isinstance(spec, StableDiffusionSpec | SDXLSpec):
        kinds = {control.wish.kind for control in spec.controls if control.wish.scale > 0.0}
        by_depth = spec.controlnet is not None and spec.run.control_scale > 0.0
        sees = by_depth or not kinds.isdisjoint(_OF_THE_MESH)
    if not sees:
        raise ConfigError(
            "--hold shows ControlNets the given mesh, and this model has none that would see it, or none with a "
            "strength above 0; leave it out, or take another model (--guidance pocket, sd15, sd21 or sdxl)."
        )
