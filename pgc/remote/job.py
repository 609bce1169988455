# SPDX-License-Identifier: Apache-2.0
"""What stands on the command line as a job for the server: the spec, and the arrays that it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from blender_addon import client as wire
from pgc.distillation.build import DistillationConfig
from pgc.errors import ConfigError
from pgc.guidance.control_specs import read_control
from pgc.guidance.diffusion.added.specs import ADAPTER_SCALE
from pgc.guidance.specs import SDXLSpec, StableDiffusionSpec
from pgc.mesh import PreparedMesh, triangulate
from pgc.runs.arguments import TextureArguments
from pgc.runs.settings.choices import RunChoices
from pgc.texture.field import BakedTexture, to_uint8_values

if TYPE_CHECKING:
    from torch import Tensor

    from pgc.runs.request import SourceTextures, TextureRequest

__all__ = ["JobArrays", "RemoteJob", "check_model_name", "check_remote_arguments", "remote_job", "request_for_server"]

Array = npt.NDArray[Any]

_NAMED = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MODEL_NAME = re.compile(r"[a-z0-9._-]{1,64}")
PREVIEW_SECONDS = 1.0
_FRONT: dict[str, Any] = {"-y": "-y", "+y": "y", "-x": "-x", "+x": "x"}
"""The same axes in the protocol's spelling."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RemoteJob:
    """A job ready to be submitted; `arrays` by their SHA-256."""

    spec: wire.TextureJobSpec
    arrays: dict[str, Array]


class JobArrays:
    """Collects arrays and names them by their content."""

    def __init__(self) -> None:
        self.by_hash: dict[str, Array] = {}

    def add(self, array: Array) -> wire.ArrayRef:
        """Keeps an array and returns the reference that names it on the wire."""
        contiguous = np.ascontiguousarray(array)
        reference = wire.array_ref(contiguous)
        self.by_hash[reference.sha256] = contiguous
        return reference


def check_remote_arguments(given: TextureArguments) -> None:
    """Raises ConfigError for options that make no sense where the server does the work."""
    for option, value in (("--device", given.device), ("--rasterizer", given.rasterizer)):
        if value is not None:
            raise ConfigError(f"{option} is the server's own; with --server leave it out (pgc-server start {option}).")
    if given.reference_by == "view":
        raise ConfigError("--reference-by view: no server takes it yet; take palette, or run without --server.")
    named = {f"--control-model {kind}": name for kind, name in (given.control_models or {}).items()}
    if given.ip_adapter is not None or given.reference_by == "ip-adapter":
        named["--ip-adapter"] = given.ip_adapter or ""
    for option, name in named.items():
        if not _NAMED.fullmatch(name):
            raise ConfigError(
                f"{option} is {name!r}; with --server give a name that the server's owner has given to one "
                "(pgc-server models name), or run without --server."
            )
    if given.guidance is not None:
        check_model_name(given.guidance)


def check_model_name(name: str) -> None:
    """Raises ConfigError for a model that is no name that a server may know."""
    if not _MODEL_NAME.fullmatch(name):
        raise ConfigError(
            f"--guidance is {name!r}; with --server name a model that the server has, such as pocket or sd15, and no "
            "path (pgc-server models list)."
        )


def request_for_server(given: TextureArguments) -> TextureRequest:
    """Makes the request of a run on a server, without what that has by names of its own: it is not here to be read.

    Raises:
        PgcError: something is missing, unknown or out of range.
    """
    # The adapter takes the reference for itself, so that no colours pull.
    pull = given.reference_scale if given.ip_adapter is None else 0.0
    return replace(given, ip_adapter=None, reference_by=None, reference_scale=pull).to_request()


def remote_job(
    given: TextureArguments, request: TextureRequest, mesh: PreparedMesh, sources: SourceTextures
) -> RemoteJob:
    """Makes the job that gives what the request gives in this process, bit for bit on the CPU.

    Settings that nobody gave stay open: the server takes them from the same preset.

    Raises:
        ConfigError: a value that the protocol does not allow.
    """
    try:
        return _job(given, request, mesh, sources)
    except wire.FieldError as error:
        raise ConfigError(f"The server takes no such job ({error}); change that, or run without --server.") from error


def _job(given: TextureArguments, request: TextureRequest, mesh: PreparedMesh, sources: SourceTextures) -> RemoteJob:
    arrays = JobArrays()
    tiles = mesh.report.tiles
    oracle = None if sources.oracle is None else _texture(arrays, sources.oracle)
    guidance = wire.ModelSpec(
        model=given.guidance or "pocket",
        guidance_scale=given.guidance_scale,
        oracle_texture=oracle,
        loras=_loras(arrays, given),
        embeddings=_embeddings(arrays, request),
    )
    spec = wire.TextureJobSpec(
        meshes=(_mesh(arrays, mesh),),
        cameras=wire.CameraSamplerSpec(sampler=given.rig or "sphere"),
        prompt=wire.PromptSpec(
            text=request.prompt.text,
            negative=request.prompt.negative,
            view_dependent=request.prompt.view_dependent,
            front_axis=_FRONT[request.prompt.front_axis],
            per_view={str(view): text for view, text in request.prompt.per_view.items()},
        ),
        settings=_settings(given, request),
        guidance=guidance,
        distillation=_distillation(given, request.settings.optimize.distillation),
        regulation=_regulation(given),
        conditions=wire.ConditionsSpec(
            depth=given.depth is not False,
            depth_scale=given.depth_scale,
            controls=_controls(given),
            reference=_reference(arrays, given, request, sources),
        ),
        lighting=_lighting(given),
        preview=wire.PreviewSpec(every_s=PREVIEW_SECONDS, size=256),
        maps=request.settings.maps,
        initial_texture=() if sources.initial is None else _texture(arrays, sources.initial),
        initial_maps={} if sources.initial is None else _maps_beside(arrays, sources.initial, request.settings.maps),
        lock_mask=() if sources.lock_mask is None else _masks(arrays, sources.lock_mask, tiles),
        name=mesh.mesh.name[:64],
    )
    return RemoteJob(spec=spec, arrays=arrays.by_hash)


def _settings(given: TextureArguments, request: TextureRequest) -> wire.SettingsSpec:
    """Returns what was chosen, by the names that the protocol shares with the library."""
    shared = {item.name for item in fields(wire.SettingsSpec)} & {item.name for item in fields(RunChoices)}
    chosen = {name: value for name in shared if (value := getattr(given, name)) is not None}
    if given.init_texture is not None:
        # An initial texture brings its size along, which stands in the request only.
        chosen["texture_size"] = request.settings.texture.texture_size
    return wire.SettingsSpec(**chosen)


def _distillation(given: RunChoices, loss: DistillationConfig) -> wire.DistillationSpec:
    # A weight of one loss goes out with that loss's name.
    name = loss.kind if given.latent_weight is not None else given.distillation
    return wire.DistillationSpec(
        kind=name or "preset",
        timesteps=given.timesteps or "preset",
        noise=given.noise or "preset",
        weighting=given.weighting or "preset",
        encoder_gradient=given.encoder_gradient or "preset",
        guidance_rescale=given.guidance_rescale,
        latent_weight=given.latent_weight,
    )


def _regulation(given: RunChoices) -> wire.RegulationSpec:
    return wire.RegulationSpec(
        kind=given.regulation or "preset",
        threshold=given.clip_threshold,
        norm=given.clip_norm,
        quantile=given.clip_quantile,
    )


def _loras(arrays: JobArrays, given: RunChoices) -> tuple[wire.LoraSpec, ...]:
    """The files' bytes; that each is a LoRA was seen as the request was made."""
    return tuple(
        wire.LoraSpec(
            file=arrays.add(np.fromfile(path, np.uint8)), scale=scale, name=Path(path).name[: wire.LORA_NAME_LETTERS]
        )
        for path, scale in (given.loras or {}).items()
    )


def _embeddings(arrays: JobArrays, request: TextureRequest) -> tuple[wire.EmbeddingSpec, ...]:
    """The files' bytes, each with the word that this process read out of it or was given."""
    prior = request.guidance
    words = prior.added.embeddings if isinstance(prior, StableDiffusionSpec | SDXLSpec) else ()
    return tuple(
        wire.EmbeddingSpec(
            file=arrays.add(np.fromfile(one.path, np.uint8)),
            word=one.token,
            name=Path(one.path).name[: wire.LORA_NAME_LETTERS],
        )
        for one in words
    )


def _controls(given: RunChoices) -> tuple[wire.ControlSpec, ...]:
    wishes = [read_control(text) for text in given.controls or ()]
    return tuple(
        wire.ControlSpec(
            kind=cast("Any", wish.kind),
            scale=wish.scale,
            start=wish.window.start,
            end=wish.window.end,
            over=wish.window.over,
            model=(given.control_models or {}).get(wish.kind, ""),
        )
        for wish in wishes
    )


def _reference(
    arrays: JobArrays, given: RunChoices, request: TextureRequest, sources: SourceTextures
) -> wire.ReferenceSpec | None:
    """The picture as this process looks at it; None where there is none, or nothing would."""
    scale = request.settings.optimize.likeness_scale
    if given.ip_adapter is not None:
        scale = ADAPTER_SCALE if given.reference_scale is None else given.reference_scale
    shown = any(read_control(text).kind == "shuffle" for text in given.controls or ())
    if sources.likeness is None or not (scale or shown):
        return None
    pixels = to_uint8_values(sources.likeness[0]).permute(1, 2, 0).numpy()
    return wire.ReferenceSpec(image=arrays.add(pixels), scale=scale, adapter=given.ip_adapter or "")


def _lighting(given: RunChoices) -> wire.LightingSpec:
    if given.rotate_light is None and given.exposure is None and given.environments is None:
        return wire.LightingSpec()
    return wire.LightingSpec(
        kind="environments",
        rotate=given.rotate_light,
        exposure=given.exposure,
        environments=given.environments or (),
    )


def _mesh(arrays: JobArrays, mesh: PreparedMesh) -> wire.MeshSpec:
    """The triangles in world axes, Z up, counted in float64 from the mesh's origin. The turn only swaps axes and signs,
    so that no bit of a number is lost; normalising is the server's, as it must be for meshes from Blender."""
    triangles = triangulate(mesh.mesh)
    rotation = mesh.normalization.rotation().astype(np.float32)
    return wire.MeshSpec(
        name=mesh.mesh.name,
        positions=arrays.add(triangles.positions @ rotation.T),
        faces=arrays.add(triangles.faces),
        corner_uvs=arrays.add(triangles.corner_uvs),
        corner_normals=arrays.add(triangles.corner_normals @ rotation.T),
        polygon_index=arrays.add(triangles.polygon_index),
        material_index=arrays.add(triangles.material_index),
    )


def _texture(arrays: JobArrays, texture: BakedTexture) -> tuple[wire.TileImage, ...]:
    images = texture.to_uint8()["base_color"]
    return tuple(
        wire.TileImage(tile=tile, array=arrays.add(image.permute(1, 2, 0).numpy()))
        for tile, image in zip(texture.tiles, images, strict=True)
    )


def _maps_beside(
    arrays: JobArrays, texture: BakedTexture, wanted: Sequence[str]
) -> dict[str, tuple[wire.TileImage, ...]]:
    """The maps that the job makes and the run starts from, beside base colour."""
    found: dict[str, tuple[wire.TileImage, ...]] = {}
    for name, images in texture.to_uint8().items():
        if name != "base_color" and name in wanted:
            pixels = [image[0] if len(image) == 1 else image.permute(1, 2, 0) for image in images]
            pairs = zip(texture.tiles, pixels, strict=True)
            found[name] = tuple(wire.TileImage(tile=tile, array=arrays.add(image.numpy())) for tile, image in pairs)
    return found


def _masks(arrays: JobArrays, masks: list[Tensor], tiles: tuple[int, ...]) -> tuple[wire.TileImage, ...]:
    return tuple(
        wire.TileImage(tile=tile, array=arrays.add(mask.numpy().astype(np.uint8) * 255))
        for tile, mask in zip(tiles, masks, strict=True)
    )
