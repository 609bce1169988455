# SPDX-License-Identifier: Apache-2.0
"""From settings to a volume run that can begin."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pgc.cameras.named import build_cameras
from pgc.guidance.base import Guidance
from pgc.optimization.config import Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.optimization.views.reference_view import ReferenceView
from pgc.volume.settings import VolumeSettings
from pgc.volume.start import start_distances
from pgc.volume.views import KnownShape, VolumeScene, VolumeViews
from pgc.volume.volume import Volume

__all__ = ["PreparedVolume", "prepare_volume"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedVolume:
    """A volume run, ready to advance."""

    scene: VolumeScene
    loop: DistillationLoop


def prepare_volume(
    guidance: Guidance,
    prompt: Prompt,
    settings: VolumeSettings,
    *,
    known: KnownShape | None = None,
    reference_view: ReferenceView | None = None,
) -> PreparedVolume:
    """Prepares a run.

    Args:
        guidance: the teacher.
        prompt: what the volume is to be.
        settings: all else.
        known: for the oracle alone: the shape that it knows.
        reference_view: a picture of what the volume is to be.

    Raises:
        PgcError: the prior or a setting cannot serve.
    """
    # The grid's own beginning is a draw like all others.
    sizes = replace(settings.volume.field, seed=settings.optimize.seed)
    scene = VolumeScene(
        volume=Volume(replace(settings.volume, field=sizes), start_distances(settings.start), device=guidance.device),
        cameras=build_cameras(settings.cameras),
        shading=settings.shading,
        penalties=settings.penalties,
        depth=settings.depth,
        known=known,
        reference_view=reference_view,
    )
    views = VolumeViews(scene, guidance, prompt, settings.optimize)
    return PreparedVolume(scene=scene, loop=DistillationLoop(views, guidance, settings.optimize))
