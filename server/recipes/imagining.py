# SPDX-License-Identifier: Apache-2.0
"""A job for a mesh from a prompt alone: `pgc.volume`, whose surface is the result."""

from __future__ import annotations

from dataclasses import replace

import torch

from blender_addon.protocol.specs.job import TextureJobSpec
from pgc.guidance.specs import GuidanceSpec, PocketSpec
from pgc.runs.prompt_warnings import prompt_warnings, reading_warnings
from pgc.volume.prepared import prepare_volume
from pgc.volume.settings import VolumeSettings, volume_settings
from pgc.volume.start import NamedStart
from server.recipes.mesh_plans import as_planned
from server.recipes.mesh_runs import VolumeRun
from server.recipes.prepare import Progress, job_prompt
from server.recipes.settings import Load, named_prior
from server.recipes.shaping import with_wishes

__all__ = ["prepare_volume_job", "volume_choices"]


def volume_choices(spec: TextureJobSpec) -> tuple[GuidanceSpec, VolumeSettings]:
    """Returns the prior that a job names, and its settings.

    Raises:
        ProtocolError: the model is none of ours.
        ConfigError: a value is out of range, or does not go with the prior.
    """
    prior = named_prior(spec)
    settings = volume_settings(prior, spec.prompt.text, spec.settings.preset)
    return prior, replace(settings, optimize=with_wishes(settings.optimize, spec))


def prepare_volume_job(
    spec: TextureJobSpec,
    device: torch.device,
    guidance_for: Load,
    *,
    plan: int,
    progress: Progress,
) -> VolumeRun:
    """Sets a job for a mesh from a prompt alone up; no step is taken yet. Arguments are those of `prepare`.

    Raises:
        ProtocolError: the job asks for what this version cannot do; the error names the field.
        PgcError: the prior cannot be used.
    """
    chosen = volume_choices(spec)
    prior, settings, memory_plan = as_planned(*chosen, device, plan)
    prompt = job_prompt(spec)
    progress("Loading the prior", 0.0)
    guidance = guidance_for(prior, device)
    progress("Preparing the volume", 0.0)
    volume = prepare_volume(guidance, prompt, settings)
    if memory_plan.view_by_view:
        volume.loop.encode_view_by_view()
    return VolumeRun(
        prior=prior,
        prompt=prompt,
        settings=settings,
        guidance=guidance,
        volume=volume,
        warnings=(*_begun(*chosen), *prompt_warnings(guidance, prompt)),
        notices=reading_warnings(guidance, prompt),
        unknown_words=guidance.unknown_words(prompt.text),
    )


def _begun(prior: GuidanceSpec, settings: VolumeSettings) -> tuple[str, ...]:
    if not isinstance(prior, PocketSpec):
        return ()
    shape = settings.start.shape if isinstance(settings.start, NamedStart) else "ball"
    return (f"The built-in model draws no shapes for words; this one began as a {shape} and stays near it.",)
