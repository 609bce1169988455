# SPDX-License-Identifier: Apache-2.0
"""Job spec to pgc configuration: the only file that knows both.

    run = prepare(spec, read, device, guidance_for)
    for result in run.optimization.steps():
        ...
    texture = run.bake()

The same mesh, prompt, settings and seed give, on the CPU, the same bits as `pgc texture` in one process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from blender_addon.protocol.arrays import ArrayRef
from blender_addon.protocol.errors import ErrorCode, invalid
from blender_addon.protocol.job_spec import (
    CameraRigSpec,
    CameraSpec,
    GuidanceSpec,
    LightingSpec,
    MeshSpec,
    RegulationSpec,
    TextureJobSpec,
    TileImage,
)
from blender_addon.protocol.records import MAX_MAP_FILES
from pgc.camera_sampling import CameraSampler, PaperCameraSampler
from pgc.cameras import Camera
from pgc.distillation.build import DistillationConfig
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.gradient_regulation import BackpropagationConfig, PixelwiseClippingConfig, RegulationConfig
from pgc.guidance.base import Guidance
from pgc.guidance.specs import GuidanceSpec as PriorSpec
from pgc.guidance.specs import OracleSpec, PocketSpec, parse_guidance
from pgc.map_names import need_light
from pgc.material_settings import MaterialConfig
from pgc.mesh import Normalization, PreparedMesh
from pgc.optimize import Optimization, Prompt
from pgc.pipeline import SourceTextures, start_optimization, vocabulary_warnings
from pgc.presets import RunSettings, lit_prior, preset_settings, with_maps, with_overrides, with_separate_slots
from pgc.run_scene import bake_maps
from pgc.texture.field import BakedTexture
from pgc.view_prompts import FrontAxis
from server.worker.cameras import FixedViews, normalized_camera
from server.worker.meshes import MeshArrays, assemble, keep_untextured
from server.worker.plans import smaller

__all__ = ["MODEL_KEYS", "JobRun", "prepare", "prior_spec", "run_settings"]

MODEL_KEYS = ("pocket", "sd15", "sd21", "sdxl", "oracle")
"""What `guidance.model` may be: keys, never paths or hub ids."""

_FRONT_AXES: dict[str, FrontAxis] = {"-y": "-y", "-x": "-x", "y": "+y", "x": "+x", "+y": "+y", "+x": "+x"}
ReadArray = Callable[[ArrayRef], npt.NDArray[Any]]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class JobRun:
    """A job made ready to run."""

    prior: PriorSpec
    prompt: Prompt
    settings: RunSettings
    mesh: PreparedMesh
    guidance: Guidance
    optimization: Optimization
    warnings: tuple[str, ...]
    """Plain sentences for the artist."""
    unknown_words: tuple[str, ...]

    def bake(self) -> BakedTexture:
        """The wanted maps as they are now: filled, padded, without seams."""
        return bake_maps(self.optimization.scene, self.mesh, self.settings)


def prepare(
    spec: TextureJobSpec,
    read: ReadArray,
    device: torch.device,
    guidance_for: Callable[[PriorSpec, torch.device], Guidance],
    *,
    plan: int = 0,
    progress: Progress | None = None,
) -> JobRun:
    """Set a job up; no step is taken yet.

    Args:
        spec: what the artist wants.
        read: the array behind a reference, of the reference's type and shape.
        guidance_for: loads a prior, or has it already.
        plan: 0: as asked; each further one takes about half the memory of the one before (`server.worker.plans`).
        progress: is told about slow stages, name and fraction.

    Raises:
        ProtocolError: the job asks for what this version cannot do; the error names the field.
        PgcError: the mesh, the textures or the prior cannot be used.
    """
    tell = progress or _tell_nobody
    _check_supported(spec)
    prior, settings, prompt = prior_spec(spec), run_settings(spec, plan), _prompt(spec)
    tell("Preparing the mesh", 0.0)
    meshes = [_mesh_arrays(mesh, read, f"meshes[{index}]") for index, mesh in enumerate(spec.meshes)]
    mesh = assemble(meshes)
    _check_files(len(settings.maps), mesh.report.tiles)
    sources = _sources(spec, read, mesh, settings.texture.texture_size)
    sources = keep_untextured(sources, meshes, mesh, settings.texture)
    tell("Loading the prior", 0.0)
    guidance = guidance_for(prior, device)
    tell("Preparing the texture", 0.0)
    return JobRun(
        prior=prior,
        prompt=prompt,
        settings=settings,
        mesh=mesh,
        guidance=guidance,
        optimization=start_optimization(
            mesh, prompt, settings, guidance, sources=sources, cameras=_cameras(spec, mesh.normalization)
        ),
        warnings=(*mesh.report.warnings, *vocabulary_warnings(guidance, prompt)),
        unknown_words=guidance.unknown_words(prompt.text),
    )


def _tell_nobody(stage: str, fraction: float) -> None:
    """A progress that nobody follows."""


def _check_supported(spec: TextureJobSpec) -> None:
    """What the protocol has room for, but this version cannot do yet."""
    lit = need_light(spec.maps)
    if lit and spec.lighting.kind == "unlit":
        raise invalid(
            "lighting.kind", "Only light shows roughness, metallic and normal; leave 'unlit' or these maps out."
        )
    if not lit and spec.lighting.kind == "environments":
        raise invalid(
            "lighting.kind", "Base color alone is shown without light; leave it out, or ask for roughness too."
        )
    if spec.guidance.revision is not None:
        raise invalid("guidance.revision", "This server has one revision of each model; leave the revision out.")
    if spec.lock_mask and not spec.initial_texture:
        raise invalid("lock_mask", "A lock mask keeps texels of the initial texture; send that too.")
    if (spec.guidance.model == "oracle") != bool(spec.guidance.oracle_texture):
        raise invalid(
            "guidance.oracle_texture", "The oracle needs the texture that it is to know; no other prior does."
        )


def prior_spec(spec: TextureJobSpec) -> PriorSpec:
    """The prior that a job names. Raises ProtocolError for a key that is none of ours."""
    key = spec.guidance.model
    if key not in MODEL_KEYS:
        # Checked here too: anything else that parse_guidance takes is a path or a hub id.
        raise invalid(
            "guidance.model", f"There is no model {key!r}; known are {', '.join(MODEL_KEYS)}.", ErrorCode.MODEL_MISSING
        )
    prior = lit_prior(parse_guidance(key)) if need_light(spec.maps) else parse_guidance(key)
    conditions = spec.conditions
    if isinstance(prior, OracleSpec):
        return prior
    scale = conditions.depth_scale if conditions.depth_scale is not None else prior.run.control_scale
    if conditions.depth:
        return replace(prior, run=replace(prior.run, control_scale=scale))
    if isinstance(prior, PocketSpec):
        return replace(prior, run=replace(prior.run, control_scale=0.0))
    return replace(prior, controlnet=None)


def run_settings(spec: TextureJobSpec, plan: int = 0) -> RunSettings:
    """The preset with what the job overrides. Raises ConfigError for values out of range."""
    prior, given = prior_spec(spec), spec.settings
    texture_size = given.texture_size
    if texture_size is None and spec.initial_texture:
        # As the command line: a run that starts from a texture keeps its size unless told otherwise.
        texture_size = spec.initial_texture[0].array.shape[0]
    settings = with_overrides(
        preset_settings(given.preset, prior),
        steps=given.steps,
        views=given.views,
        resolution=given.resolution,
        texture_size=texture_size,
        seed=given.seed,
    )
    distillation = _distillation(spec.distillation.kind, spec.guidance, settings.optimize.distillation)
    regulation = _regulation(spec.regulation, settings.optimize.regulation)
    optimize = replace(settings.optimize, distillation=distillation, regulation=regulation)
    settings = with_maps(replace(settings, optimize=optimize), prior, spec.maps)
    if settings.material is not None:
        settings = replace(settings, material=_lit(spec.lighting, settings.material))
    if given.separate_slots:
        settings = with_separate_slots(settings)
    return smaller(settings, plan)


def _lit(given: LightingSpec, preset: MaterialConfig) -> MaterialConfig:
    lighting = preset.lighting
    lighting = replace(
        lighting,
        rotate=lighting.rotate if given.rotate is None else given.rotate,
        exposure=lighting.exposure if given.exposure is None else given.exposure,
    )
    if not given.environments:
        return replace(preset, lighting=lighting)
    # Who names environments means these, and no others beside them.
    return replace(preset, lighting=lighting, environments=given.environments, drawn=0)


def _distillation(
    kind: Literal["preset", "sds", "hifa"], guidance: GuidanceSpec, preset: DistillationConfig
) -> DistillationConfig:
    config = preset
    if kind == "sds" and not isinstance(preset, SDSConfig):
        config = SDSConfig(guidance_scale=preset.guidance_scale, timestep=preset.timestep)
    elif kind == "hifa" and not isinstance(preset, HiFAConfig):
        config = HiFAConfig(guidance_scale=preset.guidance_scale, timestep=preset.timestep)
    scale = guidance.guidance_scale
    return config if scale is None else replace(config, guidance_scale=scale)


def _regulation(given: RegulationSpec, preset: RegulationConfig) -> RegulationConfig:
    if given.kind == "none":
        return BackpropagationConfig(loss_scale=preset.loss_scale)
    if given.kind == "preset" and not isinstance(preset, PixelwiseClippingConfig):
        return preset
    config = preset if isinstance(preset, PixelwiseClippingConfig) else PixelwiseClippingConfig()
    threshold = config.threshold if given.threshold is None else given.threshold
    return replace(config, threshold=threshold, norm=given.norm or config.norm)


def _prompt(spec: TextureJobSpec) -> Prompt:
    given = spec.prompt
    return Prompt(
        text=given.text,
        negative=given.negative,
        view_dependent=given.view_dependent,
        front_axis=_FRONT_AXES[given.front_axis],
        per_view=cast("Any", dict(given.per_view)),
    )


def _mesh_arrays(mesh: MeshSpec, read: ReadArray, path: str) -> MeshArrays:
    if mesh.corner_uvs is None:
        raise invalid(f"{path}.corner_uvs", "The mesh has no UVs; unwrap it first (Blender: U > Smart UV Project).")
    return MeshArrays(
        name=mesh.name,
        positions=read(mesh.positions),
        faces=read(mesh.faces),
        corner_uvs=read(mesh.corner_uvs),
        corner_normals=None if mesh.corner_normals is None else read(mesh.corner_normals),
        corner_tangents=None if mesh.corner_tangents is None else read(mesh.corner_tangents),
        material_index=None if mesh.material_index is None else read(mesh.material_index),
        textured=None if mesh.textured is None else read(mesh.textured) != 0,
    )


def _cameras(spec: TextureJobSpec, normalization: Normalization) -> CameraSampler | None:
    """None: what the preset samples."""
    cameras = spec.cameras
    if isinstance(cameras, CameraRigSpec):
        return FixedViews(tuple(normalized_camera(_camera(camera), normalization) for camera in cameras.cameras))
    return PaperCameraSampler() if cameras.sampler == "paper" else None


def _camera(camera: CameraSpec) -> Camera:
    matrices = [np.array(values, np.float32).reshape(4, 4) for values in (camera.world_to_camera, camera.projection)]
    return Camera(matrices[0], matrices[1], camera.aspect)


def _check_files(maps: int, tiles: tuple[int, ...]) -> None:
    """Before hours of work, not after: a result that would not fit into a message."""
    files = maps * len(tiles)
    if files > MAX_MAP_FILES:
        raise invalid(
            "meshes",
            f"The UVs lie in {len(tiles)} UDIM tiles, which makes {files} image files; a job has at most "
            f"{MAX_MAP_FILES}. Texture some tiles at a time, or move the charts closer together.",
        )


def _sources(spec: TextureJobSpec, read: ReadArray, mesh: PreparedMesh, size: int) -> SourceTextures:
    tiles = mesh.report.tiles
    initial, locks = spec.initial_texture, spec.lock_mask
    oracle = spec.guidance.oracle_texture
    return SourceTextures(
        initial=_texture(initial, read, tiles, size, "initial_texture") if initial else None,
        lock_mask=[image > 127 for image in _images(locks, read, tiles, size, "lock_mask")] if locks else None,
        oracle=_texture(oracle, read, tiles, size, "guidance.oracle_texture") if oracle else None,
    )


def _texture(
    images: Sequence[TileImage], read: ReadArray, tiles: tuple[int, ...], size: int, path: str
) -> BakedTexture:
    pixels = [image.permute(2, 0, 1).contiguous() for image in _images(images, read, tiles, size, path)]
    return BakedTexture.from_uint8({"base_color": pixels}, tiles)


def _images(images: Sequence[TileImage], read: ReadArray, tiles: tuple[int, ...], size: int, path: str) -> list[Tensor]:
    """One image a tile, in the order of the mesh's tiles, [size, size] or [size, size, 3] bytes."""
    by_tile = {image.tile: (index, image.array) for index, image in enumerate(images)}
    found: list[Tensor] = []
    for tile in tiles:
        if tile not in by_tile:
            raise invalid(path, f"Tile {tile} of the mesh has no image; it has tiles {', '.join(map(str, tiles))}.")
        index, ref = by_tile[tile]
        if tuple(ref.shape[:2]) != (size, size):
            shape = "x".join(map(str, ref.shape[:2]))
            raise invalid(f"{path}[{index}]", f"The image is {shape}, the texture {size}x{size}; resize it.")
        found.append(torch.as_tensor(np.array(read(ref))))
    return found
