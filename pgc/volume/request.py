# SPDX-License-Identifier: Apache-2.0
"""What a volume run is asked for, and the checkpoint that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pgc.errors import CheckpointError, ConfigError
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.models import require_installed, require_zero123
from pgc.guidance.specs import GuidanceSpec
from pgc.optimization.config import Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from pgc.runs.sources.reading import digest_of
from pgc.shape.picture import GivenPicture
from pgc.shape.resuming import RunMark, mark_of, told_by_versions
from pgc.volume.finish import TextureStage
from pgc.volume.settings import VolumeSettings, as_soft
from pgc.volume.start import MeshStart
from pgc.volume.views import KnownShape

__all__ = ["SavedVolume", "VolumeRequest", "as_begun", "check_request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRequest:
    """What is asked for."""

    prompt: Prompt
    settings: VolumeSettings
    prior: GuidanceSpec | Zero123Spec
    """What the teacher was loaded from."""
    texture: TextureStage | None = field(default_factory=TextureStage)
    """How the mesh is textured; None: not at all."""
    known: KnownShape | None = None
    """For the oracle alone."""
    picture: GivenPicture | None = None
    """A picture of what is to be made."""


def check_request(request: VolumeRequest) -> None:
    """Raises ConfigError where a request cannot be served; loads nothing."""
    if isinstance(request.prior, Zero123Spec):
        if request.picture is None or request.texture is not None:
            raise ConfigError("Zero123 needs a picture of the object, and paints no texture; take pgc image.")
        require_zero123(request.prior.source)
        return
    if not request.prompt.text.strip():
        raise ConfigError("The prompt is empty; say what is to be made, such as 'a red vase'.")
    require_installed(request.prior)
    if request.texture is not None:
        request.texture.settings(request.prior)


def as_begun(request: VolumeRequest, checkpoint: Path) -> VolumeRequest:
    """Returns the request as a run of an earlier version began it, where the checkpoint is of one: shapes that are to
    stay were as soft then as a ball. Where it stood is in the checkpoint itself.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    soft = replace(request, settings=as_soft(request.settings, request.prior))
    if soft == request:
        return request
    is_of_then = load_checkpoint(checkpoint)[1].get("request") in SavedVolume(checkpoint, soft).marks
    return soft if is_of_then else request


class SavedVolume:
    """The checkpoint of a volume, which is a run's as long as all settings are the same."""

    def __init__(self, path: Path, request: VolumeRequest) -> None:
        self.path = path
        # Read once: the file may be moved meanwhile.
        self.picture = None if request.picture is None else request.picture.facts()
        self.marks = _marks(request, self.picture)
        """Today's, and those of versions that began the run earlier."""

    def keep(self, loop: DistillationLoop, plan: int) -> None:
        """Writes the state, and by which memory plan it was reached.

        Raises:
            CheckpointError: the file cannot be written.
        """
        tensors, header = loop.state_dict()
        save_checkpoint(self.path, tensors, {**header, "request": self.marks[0], "plan": plan})

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns what `DistillationLoop.load_state_dict` takes.

        Raises:
            CheckpointError: there is none, it is damaged, or of another run.
        """
        tensors, header = load_checkpoint(self.path)
        if header.get("request") not in self.marks:
            raise CheckpointError(
                "The volume here was begun with another prompt, model or other settings; give those of its run.json, "
                "or another --out."
            )
        return tensors, header


def _marks(request: VolumeRequest, picture: Mapping[str, Any] | None) -> tuple[RunMark, ...]:
    parts = {"prompt": request.prompt, "prior": request.prior, **({} if picture is None else {"picture": picture})}
    settings = request.settings
    told = told_by_versions(settings)
    for one in told:
        if settings.latents_until == 0.0:
            # Checkpoints of versions without it go on.
            del one["latents_until"]
    if isinstance(settings.start, MeshStart):
        # Versions that knew its place alone could not see that it was edited meanwhile.
        told.insert(0, {**told[0], "start": {"type": "MeshStart", "sha256": digest_of(settings.start.path)}})
    return tuple(mark_of(one, parts) for one in told)
