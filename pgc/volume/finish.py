# SPDX-License-Identifier: Apache-2.0
"""The volume's mesh, textured by the project's own texture run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from pgc.guidance.base import Guidance
from pgc.guidance.specs import GuidanceSpec
from pgc.mesh import PreparedMesh
from pgc.optimization.config import Prompt
from pgc.runs.arguments import TextureArguments, arguments_from_report, checked_device, guidance_named
from pgc.runs.folder import RunFolder
from pgc.runs.report import read_report
from pgc.runs.runner import RunHooks, SharedParts, texture_mesh
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import RunSettings, resolve
from pgc.runs.texture_request import TextureRequest
from pgc.volume.outcome import TEXTURE_FOLDER, TEXTURED, hashes
from pgc.whole_files import write_bytes

__all__ = ["TextureStage", "texture_volume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureStage:
    """How the mesh is textured."""

    choices: RunChoices = field(default_factory=RunChoices)
    """As `pgc texture` has them."""
    from_colors: bool = False
    """Whether the texture begins as the volume's colours."""

    def settings(self, spec: GuidanceSpec) -> tuple[GuidanceSpec, RunSettings]:
        """Returns the prior and the settings of the texture run.

        Raises:
            ConfigError: a choice does not fit.
        """
        return resolve(self.choices, spec)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeMesh:
    """What is textured, and by whom."""

    mesh: PreparedMesh
    """Of volume.glb in the run's folder."""
    guidance: Guidance | None
    """The volume's prior, where it may serve; None: the texture loads its own."""
    device: torch.device
    prior: GuidanceSpec
    """What the volume's was loaded from."""
    prompt: Prompt
    is_as_before: bool = False
    """Whether volume.glb has the bytes that it had when this run was resumed."""


def texture_volume(
    stage: TextureStage, made: VolumeMesh, folder: Path, hooks: RunHooks, *, resume: bool
) -> tuple[dict[str, Any], bool]:
    """Textures the mesh in the folder "texture"; returns what a report says of it, and whether it finished.

    Raises:
        PgcError: as `texture_mesh`.
    """
    prior, settings = stage.settings(made.prior)
    request = TextureRequest(
        mesh=folder / "volume.glb",
        prompt=made.prompt,
        guidance=prior,
        settings=settings,
        start="vertex-colors" if stage.from_colors else None,
        device=checked_device(made.device.type),
    )
    place = RunFolder(folder / TEXTURE_FOLDER)
    done = _finished_before(place, made, request) if resume else None
    if done is not None:
        return _told(folder, place, done["steps_done"], done["files"]), True
    resume = resume and place.checkpoint.is_file()
    if not resume:
        place.claim(overwrite=True)
    # The prior of the volume serves where the texture asks for the same one; otherwise its own is loaded.
    shared = SharedParts(guidance=made.guidance if prior == made.prior else None, mesh=made.mesh)
    told = _arguments(stage, made, request)
    outcome = texture_mesh(request, place, arguments=told, hooks=hooks, shared=shared, resume=resume)
    return _told(folder, place, outcome.report.steps_done, outcome.report.files), outcome.finished


def _finished_before(place: RunFolder, made: VolumeMesh, request: TextureRequest) -> dict[str, Any] | None:
    """The report of the same texture of the same mesh, where `pgc texture --resume` has finished it meanwhile."""
    if not made.is_as_before or place.left_behind() != "finished":
        return None
    content = read_report(place.report)
    # Read from its file, a mesh has another name and other notes.
    if not content.get("arguments") or content["mesh"]["triangles"] != len(made.mesh.triangles.faces):
        return None
    stored = arguments_from_report(content, TextureArguments())
    # The folder may have been moved since.
    stored = replace(stored, mesh=place.place_of(stored.mesh))
    return content if stored.to_request().fingerprint() == request.fingerprint() else None


def _told(folder: Path, place: RunFolder, steps_done: int, textures: Mapping[str, str]) -> dict[str, Any]:
    """Writes imagined.glb; returns what a report says of the texture."""
    write_bytes(folder / TEXTURED, (place.path / "textured.glb").read_bytes())
    report = place.report.name
    files = {TEXTURED: hashes(folder, (TEXTURED,))[TEXTURED]}
    files.update({f"{TEXTURE_FOLDER}/{name}": digest for name, digest in textures.items()})
    files[f"{TEXTURE_FOLDER}/{report}"] = hashes(place.path, (report,))[report]
    return {"folder": TEXTURE_FOLDER, "steps_done": steps_done, "files": files}


def _arguments(stage: TextureStage, made: VolumeMesh, request: TextureRequest) -> dict[str, Any]:
    """What `pgc texture` would have been told, so that it goes on with the run and `pgc export` reads it; nothing where
    no command line says the same."""
    name = guidance_named(made.prior)
    if name is None:
        return {}
    told = TextureArguments.of(
        stage.choices,
        mesh=str(request.mesh.absolute()),
        prompt=made.prompt.text,
        negative=made.prompt.negative or None,
        guidance=name,
        start=request.start,
        device=request.device,
    )
    return told.given() if told.to_request().fingerprint() == request.fingerprint() else {}
