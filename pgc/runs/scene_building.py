# SPDX-License-Identifier: Apache-2.0
"""What a run renders, from its settings: the texture field, the light, and what the oracle knows; and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pgc.baking.occlusion import occlusion_map
from pgc.cameras import Camera
from pgc.cameras.named import build_cameras
from pgc.cameras.sampling import CameraSampler
from pgc.cameras.view_names import FrontAxis
from pgc.errors import ConfigError
from pgc.images.reading import Depth
from pgc.lighting.environments import EnvironmentLighting
from pgc.maps import map_channels
from pgc.mesh import PreparedMesh
from pgc.optimization.scene import Scene
from pgc.pictures.contact_sheet import preview_cameras
from pgc.pictures.studio import Framing
from pgc.rendering.occlusion import RayCaster
from pgc.rendering.pbr_shading import pbr_shade
from pgc.rendering.raster.choice import build_rasterizer
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.runs.settings.lit import MaterialConfig, run_environments
from pgc.runs.settings.presets import RunSettings
from pgc.texture.field import BakedTexture
from pgc.texture.finished_texture import FinishedTexture
from pgc.texture.hash_grid import HashGridTexture, HashGridTextureConfig
from pgc.texture.material_field import MaterialField
from pgc.texture.penalties import MaterialPenalties
from pgc.texture.texel_config import TexelLayout, TexelPyramidConfig
from pgc.texture.texel_pyramid import TexelPyramid

__all__ = ["SourceTextures", "bake_maps", "build_scene", "with_alpha_of", "with_kept_occlusion"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceTextures:
    """What a run starts from and keeps."""

    initial: BakedTexture | None = None
    """A lit run starts the maps that are not in it from their settings."""
    lock_mask: list[Tensor] | None = None
    oracle: BakedTexture | None = None
    """What the oracle takes for the truth; without roughness it is matte, without metallic no metal."""
    likeness: Tensor | None = None
    """A picture that the texture is to resemble, [1, 3, H, W], sRGB in [0, 1]."""
    front: Tensor | None = None
    """A picture that the front is to look like, [1, 4, S, S], sRGB and alpha in [0, 1]."""
    depth: Depth = "8 bits"
    """Of the initial texture's files."""
    notes: tuple[str, ...] = ()
    """What was changed or ignored in the files, a sentence each."""


def build_scene(
    mesh: PreparedMesh,
    settings: RunSettings,
    sources: SourceTextures,
    device: torch.device,
    *,
    rasterizer: Rasterizer | None = None,
    cameras: CameraSampler | None = None,
) -> Scene:
    """Builds the scene of a run: unlit where base colour alone is optimised, else lit.

    Args:
        rasterizer: one of the same mesh, to share its cache.
        cameras: views of the normalised mesh; by default those of the settings.

    Raises:
        PgcError: the textures do not fit the mesh or the settings.
    """
    caster = rasterizer or build_rasterizer(mesh.triangles, device=device)
    views = cameras or build_cameras(settings.cameras)
    if settings.material is not None:
        return _lit_scene(mesh, settings.texture, settings.material, sources, (caster, views), device)
    config, layout = settings.texture, _layout(mesh)
    reference = None
    if sources.oracle is not None:
        reference = TexelPyramid(mesh.triangles, config, sources.oracle, device=device, layout=layout)
        reference.set_progress(1.0)
    if isinstance(config, HashGridTextureConfig):
        if sources.initial is not None or sources.lock_mask is not None:
            raise ConfigError("A hash grid starts from nothing and keeps no texel; take texels.")
        grid = HashGridTexture(mesh.triangles, config, layout, device)
        return replace(_unlit(mesh, grid, sources, (caster, views), device), reference=reference)
    texture = TexelPyramid(mesh.triangles, config, sources.initial, sources.lock_mask, device, layout=layout)
    return replace(_unlit(mesh, texture, sources, (caster, views), device), reference=reference)


def _unlit(
    mesh: PreparedMesh,
    texture: TexelPyramid | HashGridTexture,
    sources: SourceTextures,
    seen: tuple[Rasterizer, CameraSampler],
    device: torch.device,
) -> Scene:
    """Returns the scene of a texture that is shown without light, whatever it is made of."""
    return Scene(
        rasterizer=seen[0],
        texture=texture,
        cameras=seen[1],
        face_materials=_face_materials(mesh, device),
        likeness=_on(sources.likeness, device),
        front=_on(sources.front, device),
        front_camera=partial(_front_camera, mesh),
    )


def _front_camera(mesh: PreparedMesh, axis: FrontAxis) -> Camera:
    """The camera of the first picture in preview.png."""
    return preview_cameras(Framing.of(mesh.triangles, axis))[0]


def _layout(mesh: PreparedMesh) -> TexelLayout:
    return TexelLayout(tiles=mesh.report.tiles, repeat=mesh.report.needs_repeat)


def _lit_scene(
    mesh: PreparedMesh,
    config: TexelPyramidConfig,
    material: MaterialConfig,
    sources: SourceTextures,
    seen: tuple[Rasterizer, CameraSampler],
    device: torch.device,
) -> Scene:
    layout = _layout(mesh)
    initial = None if sources.initial is None else _complete(sources.initial, material)
    texture = MaterialField(mesh.triangles, material.fields, config, initial, sources.lock_mask, device, layout=layout)
    return Scene(
        rasterizer=seen[0],
        texture=texture,
        cameras=seen[1],
        shade=pbr_shade,
        lighting=EnvironmentLighting(run_environments(material, device), material.lighting),
        baseline=material.baseline,
        face_materials=_face_materials(mesh, device),
        likeness=_on(sources.likeness, device),
        penalty=None if material.priors.is_off else MaterialPenalties(texture, mesh.triangles, material.priors),
        reference=None
        if sources.oracle is None
        else FinishedTexture(sources.oracle, repeat=layout.repeat, device=device),
    )


def _face_materials(mesh: PreparedMesh, device: torch.device) -> Tensor:
    return torch.from_numpy(mesh.triangles.material_index).to(device)


def _on(picture: Tensor | None, device: torch.device) -> Tensor | None:
    return None if picture is None else picture.to(device)


def _complete(initial: BakedTexture, material: MaterialConfig) -> BakedTexture:
    """Returns the initial texture with a start value for the maps that are not in it; base
    colour must be, relief need not."""
    maps, size = dict(initial.maps), initial.size
    found = material.fields.optimized()
    for name, channels in map_channels(start=True).items():
        if name in found and name != "base_color" and name not in maps:
            maps[name] = [torch.full((channels, size, size), found[name].initial) for _ in initial.tiles]
    return replace(initial, maps=maps)


def with_kept_occlusion(done: BakedTexture, sources: SourceTextures) -> BakedTexture:
    """Returns the finished texture, whose occlusion is the initial one's where texels are locked: no run starts from
    it, but what is kept is kept in all maps."""
    initial, locks = sources.initial, sources.lock_mask
    if initial is None or locks is None or "occlusion" not in initial.maps or "occlusion" not in done.maps:
        return done
    pairs = zip(locks, initial.maps["occlusion"], done.maps["occlusion"], strict=True)
    kept = [torch.where(locked, before.to(now), now) for locked, before, now in pairs]
    return replace(done, maps={**done.maps, "occlusion": kept})


def with_alpha_of(done: BakedTexture, initial: BakedTexture | None) -> BakedTexture:
    """Returns the finished texture with the initial one's alpha, which no run sees or changes; alpha is of base
    colour."""
    if initial is None or "base_color" not in done.maps:
        return done
    return replace(done, alpha=initial.alpha)


def bake_maps(scene: Scene, mesh: PreparedMesh, settings: RunSettings) -> BakedTexture:
    """Bakes the maps that a run is to give, as they are now: filled, padded, without seams; occlusion computed.

    Raises:
        ConfigError: occlusion is wanted, but the scene's rasteriser casts no rays.
    """
    done = scene.texture.bake()
    maps = dict(done.maps)
    if settings.occlusion is not None:
        if not isinstance(scene.rasterizer, RayCaster):
            raise ConfigError(f"Occlusion needs rays, which {type(scene.rasterizer).__name__} does not cast.")
        maps["occlusion"] = occlusion_map(
            mesh.triangles,
            scene.rasterizer,
            settings.occlusion,
            size=done.size,
            tiles=done.tiles,
            seed=settings.optimize.seed,
            device=next(scene.texture.parameters()).device,
        )
    return replace(done, maps={name: maps[name] for name in settings.maps})
