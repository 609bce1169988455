# SPDX-License-Identifier: Apache-2.0
"""From settings to a volume run that can begin."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from pgc.cameras.named import build_cameras
from pgc.guidance.base import Guidance
from pgc.optimization.config import Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.optimization.views.reference_view import ReferenceView
from pgc.shape.geometry.signed_distance import Progress
from pgc.volume.settings import VolumeSettings
from pgc.volume.start import BallStart, start_distances
from pgc.volume.views import KnownShape, VolumeScene, VolumeViews
from pgc.volume.volume import Volume

__all__ = ["PreparedVolume", "begun_distances", "prepare_volume"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedVolume:
    """A volume run, ready to advance."""

    scene: VolumeScene
    loop: DistillationLoop


def begun_distances(settings: VolumeSettings, progress: Progress | None = None) -> Float[Tensor, "s s s"]:
    """Returns the signed distances that a volume begins with.

    A shape or a mesh begins with its surface where the volume's mesh will have it: otherwise that lies inside, and legs
    thinner than twice its depth are gone before the first step. A ball is the papers' blob as they have it. `progress`
    is told the name of a slow stage, and how much of it is done.

    Raises:
        MeshError: a mesh cannot be read, or has no inside.
    """
    found = start_distances(settings.start, progress)
    if isinstance(settings.start, BallStart):
        return found
    return found - settings.volume.field.depth_of(settings.surface.density)


def prepare_volume(
    guidance: Guidance,
    prompt: Prompt,
    settings: VolumeSettings,
    *,
    known: KnownShape | None = None,
    reference_view: ReferenceView | None = None,
    distances: Float[Tensor, "s s s"] | None = None,
) -> PreparedVolume:
    """Prepares a run.

    Args:
        guidance: the teacher.
        prompt: what the volume is to be.
        settings: all else.
        known: for the oracle alone: the shape that it knows.
        reference_view: a picture of what the volume is to be.
        distances: what `begun_distances` gives, where it is known.

    Raises:
        PgcError: the prior or a setting cannot serve.
    """
    # The grid's own beginning is a draw like all others.
    sizes = replace(settings.volume.field, seed=settings.optimize.seed)
    begun = begun_distances(settings) if distances is None else distances
    scene = VolumeScene(
        volume=Volume(replace(settings.volume, field=sizes), begun, device=guidance.device),
        cameras=build_cameras(settings.cameras),
        shading=settings.shading,
        penalties=settings.penalties,
        depth=settings.depth,
        latents_until=settings.latents_until,
        known=known,
        reference_view=reference_view,
    )
    views = VolumeViews(scene, guidance, prompt, settings.optimize)
    return PreparedVolume(scene=scene, loop=DistillationLoop(views, guidance, settings.optimize))
