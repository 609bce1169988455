# SPDX-License-Identifier: Apache-2.0
"""From a request to a running optimisation: mesh, prior, texels, rasteriser and loop put together.

    run = prepare_run(TextureRequest(mesh=Path("chair.obj"), prompt=Prompt(text="red bricks")))
    for result in run.optimization.steps():
        ...
    texture = run.bake()

Nothing here writes files: `pgc.runs.folder` does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blender_addon.uv_measure import WORTH_SAYING, expected_seconds
from pgc.devices import DeviceName, resolve_device, unused_accelerator
from pgc.errors import CheckpointError, ConfigError
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.added.specs import contents_of
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.models import require_installed
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec, load_guidance
from pgc.mesh import PreparedMesh, UpAxis, UvPolicy, load_mesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.rendering.raster.choice import RasterizerName, build_rasterizer, check_rasterizer
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from pgc.runs.memory.plan import MemoryPlanner, cap_memory, device_memory
from pgc.runs.prepared import PreparedRun, start_optimization
from pgc.runs.prior_device import check_prior_fits
from pgc.runs.prompt_warnings import prompt_warnings
from pgc.runs.scene_building import SourceTextures
from pgc.runs.settings.added import check_added
from pgc.runs.settings.controls import check_shuffle
from pgc.runs.settings.presets import RunSettings, preset_settings
from pgc.runs.source_reading import SourceFiles, StartName, check_headers, digest_of, read_sources
from pgc.texture.hash_grid import HashGridTextureConfig

__all__ = [
    "SourceTextures",
    "TextureRequest",
    "TextureRun",
    "check_images",
    "load_prepared",
    "load_sources",
    "planner_for",
    "prepare_run",
    "saved_plan",
    "uv_policy",
]

Progress = Callable[[str, float], None]
"""Gets a stage's name and how much of it is done, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureRequest:
    """All that a run depends on. Two equal requests give equal textures (bit for bit on the CPU)."""

    mesh: Path
    prompt: Prompt
    guidance: GuidanceSpec = field(default_factory=PocketSpec)
    settings: RunSettings = field(default_factory=lambda: preset_settings("standard", PocketSpec()))
    up_axis: UpAxis | None = None
    """The file's up axis; None: that of its format."""
    unwrap: bool = False
    """Make new UVs even where the mesh has some, or is big."""
    keep_uvs: bool = False
    """Texture the mesh's own UVs even where they serve places with the same texel that should differ."""
    initial_texture: Path | None = None
    """An image of base colour, or a folder with maps as a run writes them."""
    start: StartName | None = None
    """What of the mesh itself the run starts from."""
    lock_mask: Path | None = None
    """Bright texels keep the initial texture's bytes."""
    change_mask: Path | None = None
    """The same the other way: texels that are not bright keep the initial texture's bytes."""
    oracle_texture: Path | None = None
    """The material that the oracle knows; for no other prior."""
    reference: Path | None = None
    """A picture whose colours the texture is to take, and which the control shuffle and an IP-Adapter show."""
    device: DeviceName = "auto"
    rasterizer: RasterizerName = "auto"

    def __post_init__(self) -> None:
        if self.lock_mask is not None and self.change_mask is not None:
            raise ConfigError("--lock-mask says what stays and --change-mask what changes; give one of them.")
        if self.start is not None and self.initial_texture is not None:
            raise ConfigError(f"--start is {self.start!r} and --init-texture an image; give one of them.")
        begun = self.start is not None or self.initial_texture is not None
        if begun and isinstance(self.settings.texture, HashGridTextureConfig):
            raise ConfigError("A hash grid starts from nothing; leave the texture to start from out, or --field.")
        for mask, name in ((self.lock_mask, "lock mask"), (self.change_mask, "change mask")):
            if mask is not None and self.initial_texture is None:
                raise ConfigError(f"A {name} keeps texels of the initial texture; give that too (--init-texture).")
        if isinstance(self.guidance, OracleSpec) != (self.oracle_texture is not None):
            raise ConfigError(
                "The oracle needs the texture that it is to know (--oracle-texture); no other prior does."
            )
        if self.unwrap and self.keep_uvs:
            raise ConfigError("--unwrap makes new UVs and --keep-uvs keeps the mesh's own; give one of them.")
        check_shuffle(self.guidance, self.reference)
        check_added(self.guidance, self.prompt, self.reference)
        if not self.prompt.text.strip():
            raise ConfigError("The prompt is empty; say what the texture is to be.")

    def source_files(self) -> SourceFiles:
        """Returns where the run's images are, and what else it starts from."""
        return SourceFiles(
            initial=self.initial_texture,
            start=self.start,
            lock_mask=self.lock_mask,
            change_mask=self.change_mask,
            oracle=self.oracle_texture,
            reference=self.reference,
        )

    def fingerprint(self) -> str:
        """Hashes all settings and the contents of all files (SHA-256): equal for runs that may resume each other.

        Device and rasteriser are left out: a run may move to another machine, where its last bits may differ.
        """
        settings = asdict(replace(self, device="auto"))
        del settings["rasterizer"]
        # Runs of versions that did not know these go on.
        if self.start is None:
            del settings["start"]
        settings["settings"]["optimize"] = self.settings.optimize.known_settings()
        if (how := settings["guidance"].get("run")) and MemorySavings(**how["memory"]) == MemorySavings():
            del how["memory"]
        if (added := settings["guidance"].pop("added", None)) and (contents := contents_of(added)):
            settings["guidance"]["added"] = contents
        for name in ("mesh", "initial_texture", "lock_mask", "change_mask", "oracle_texture", "reference"):
            path: Path | None = settings[name]
            settings[name] = None if path is None else digest_of(path)
        return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextureRun(PreparedRun):
    """A request that is ready to run: its mesh and its optimisation are set up."""

    request: TextureRequest
    plan_number: int
    """Of the request's plans; 0: as asked for."""

    @property
    def rasterizer(self) -> Rasterizer:
        """Returns the run's rasteriser, whose acceleration structure pictures may share."""
        return self.optimization.scene.rasterizer

    def save(self, path: Path) -> None:
        """Writes a checkpoint from which `resume` continues. Raises CheckpointError where it cannot be written."""
        tensors, header = self.optimization.state_dict()
        save_checkpoint(path, tensors, {**header, "request": self.request.fingerprint(), "plan": self.plan_number})

    def resume(self, path: Path) -> None:
        """Continues where a checkpoint of the same request stopped.

        Raises:
            CheckpointError: the checkpoint is missing, damaged, or of another request.
        """
        self.resume_from(*load_checkpoint(path))

    def resume_from(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Resumes, as `resume` does, from what `load_checkpoint` has read."""
        _check_request(header, self.request)
        self.restore(tensors, header)

    def restore(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Continues from a state of the same request. Texels do not depend on the plan, so that it may be another."""
        self.optimization.load_state_dict(tensors, {**header, "config": self.optimization.config.fingerprint()})


def _check_request(header: Mapping[str, Any], request: TextureRequest) -> None:
    if header.get("request") != request.fingerprint():
        raise CheckpointError(
            "The checkpoint belongs to another mesh, prompt or settings, or one of its files has changed since; "
            "put them back, or start a new run in another folder."
        )


def load_prepared(request: TextureRequest, progress: Progress) -> PreparedMesh:
    """Loads the mesh of a request, ready for a run. Raises MeshError where it is missing, damaged or too big."""
    progress("Reading the mesh", 0.0)
    mesh = load_mesh(request.mesh)
    if request.up_axis is not None:
        mesh = replace(mesh, up_axis=request.up_axis)

    seconds = expected_seconds(mesh.triangle_count)
    long = seconds > WORTH_SAYING
    stage = f"Unwrapping {mesh.triangle_count:,} triangles (about {seconds:.0f} s)" if long else "Unwrapping"

    def unwrapping(fraction: float) -> None:
        """Reports how much of the unwrapping is done."""
        progress(stage, fraction)

    return prepare_mesh(mesh, uvs=uv_policy(request), progress=unwrapping)


def uv_policy(request: TextureRequest) -> UvPolicy:
    """Says which UVs are textured: images lie in the mesh's own, so those are kept unless told otherwise."""
    if request.unwrap:
        return "new"
    return "keep" if request.keep_uvs or request.source_files().paths else "auto"


def check_images(request: TextureRequest) -> None:
    """Looks at the headers of a request's images, before time goes into its mesh.

    Raises:
        TextureError: one is missing, no image, or too big.
    """
    check_headers(request.source_files())


def load_sources(request: TextureRequest, mesh: PreparedMesh) -> SourceTextures:
    """Loads the images that a request names, at the size of its texture. Raises TextureError where one is unusable."""
    return read_sources(request.source_files(), mesh, request.settings.texture.texture_size)


def planner_for(request: TextureRequest, device: torch.device) -> MemoryPlanner:
    """Returns the plans of a request on a device."""
    return MemoryPlanner(spec=request.guidance, settings=request.settings, device=device)


def saved_plan(header: Mapping[str, Any]) -> int:
    """Returns the number of the plan by which a checkpoint's run went on."""
    number = header.get("plan", 0)
    return number if isinstance(number, int) else 0


def prepare_run(
    request: TextureRequest,
    *,
    guidance: Guidance | None = None,
    rasterizer: Rasterizer | None = None,
    progress: Progress | None = None,
    least_plan: int = 0,
) -> TextureRun:
    """Loads all that a request names and sets the run up; no step is taken yet.

    Args:
        request: what to do.
        guidance: the request's prior, where it is loaded already.
        rasterizer: one of the same mesh, to share its cache.
        progress: is told about slow stages.
        least_plan: number of the first memory plan to look at, as one above it was tried already.

    Raises:
        PgcError: something is missing, damaged or does not fit; the message says what to do.
    """
    tell = progress or (lambda stage, fraction: None)
    device = resolve_device(request.device)
    if guidance is None:
        require_installed(request.guidance)
    check_rasterizer(request.rasterizer, device)
    notes = check_prior_fits(request.guidance, request.device, device, unused_accelerator())
    check_images(request)
    planner, memory = planner_for(request, device), device_memory(device)
    cap_memory(device, memory)
    number = planner.choose(memory, least_plan)
    if number > least_plan:
        notes = (*notes, planner.describe(number, memory, since=least_plan))
    said = planner.announce(number, memory)
    notes = notes if said is None else (*notes, said)
    spec, settings, plan = planner.apply(number)
    mesh = load_prepared(request, tell)
    sources = load_sources(request, mesh)
    tell("Loading the prior", 0.0)
    prior = guidance or load_guidance(spec, device)
    tell("Preparing the texture", 0.0)
    caster = rasterizer or build_rasterizer(mesh.triangles, device=prior.device, asked=request.rasterizer)
    optimization = start_optimization(mesh, request.prompt, settings, prior, sources=sources, rasterizer=caster)
    if plan.view_by_view:
        optimization.encode_view_by_view()
    return TextureRun(
        request=request,
        prompt=request.prompt,
        settings=settings,
        mesh=mesh,
        guidance=prior,
        optimization=optimization,
        sources=sources,
        warnings=(*notes, *mesh.report.warnings, *sources.notes, *prompt_warnings(prior, request.prompt)),
        unknown_words=prior.unknown_words(request.prompt.text),
        memory_plan=plan,
        plan_number=number,
    )
