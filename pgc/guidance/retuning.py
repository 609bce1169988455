# SPDX-License-Identifier: Apache-2.0
"""A loaded prior under other settings: its weights stay where they are, whatever else of its specification changes."""

from __future__ import annotations

from dataclasses import replace

from pgc.guidance.base import Guidance
from pgc.guidance.control_specs import ControlWish
from pgc.guidance.diffusion.added.specs import AddedFiles
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import (
    FluxSpec,
    GuidanceSpec,
    OracleSpec,
    PocketSpec,
    SD3Spec,
    SDXLSpec,
    StableDiffusionSpec,
    ZImageSpec,
)

__all__ = ["retuned", "weights_of"]

_Spec = GuidanceSpec | Zero123Spec


def weights_of(spec: _Spec) -> _Spec:
    """Returns the specification with the defaults of all that may change without loading anything: two priors have the
    same weights in the same places if these are equal."""
    match spec:
        case OracleSpec():
            return spec
        case PocketSpec():
            return replace(spec, prompt_suffix="", run=_held(spec.run))
        case StableDiffusionSpec() | SDXLSpec():
            nets = tuple(replace(one, wish=ControlWish(kind=one.wish.kind)) for one in spec.controls)
            return replace(spec, controls=nets, added=_merged(spec.added), run=_held(spec.run))
        case SD3Spec():
            return replace(spec, t5_length=SD3Spec().t5_length, run=_held(spec.run))
        case FluxSpec():
            plain = FluxSpec()
            return replace(
                spec,
                t5_length=plain.t5_length,
                embedded_guidance=plain.embedded_guidance,
                run=_held(spec.run),
            )
        case ZImageSpec():
            return replace(spec, text_length=ZImageSpec().text_length, run=_held(spec.run))
        case Zero123Spec():
            return replace(spec, run=_held(spec.run))


def _held(run: LatentDiffusionConfig) -> LatentDiffusionConfig:
    """What says of which precision weights are and where they lie; and what the empty prompt is, by which stored
    prompts are told apart."""
    savings = MemorySavings(streamed=run.memory.streamed)
    return LatentDiffusionConfig(
        dtype=run.dtype, vae_dtype=run.vae_dtype, empty_prompt=run.empty_prompt, memory=savings
    )


def _merged(added: AddedFiles) -> AddedFiles:
    """An IP-Adapter's scale is a factor of its own; a LoRA's is in the weights."""
    if added.ip_adapter is None:
        return added
    return replace(added, ip_adapter=replace(added.ip_adapter, scale=1.0))


def retuned(guidance: Guidance, spec: _Spec) -> Guidance:
    """Returns a prior with the weights of `guidance` and the settings of `spec`.

    Args:
        guidance: was loaded by a specification of equal `weights_of`; it is not to be used any more.
        spec: as it is wished now.

    Raises:
        GuidanceError: a setting does not fit the model.
    """
    from pgc.guidance.diffusion.flow.flux import FluxGuidance
    from pgc.guidance.diffusion.flow.stable_diffusion_3 import StableDiffusion3Guidance
    from pgc.guidance.diffusion.flow.z_image import ZImageGuidance
    from pgc.guidance.diffusion.pocket import PocketGuidance
    from pgc.guidance.diffusion.sdxl import SDXLGuidance
    from pgc.guidance.diffusion.stable_diffusion import StableDiffusionGuidance
    from pgc.guidance.diffusion.zero123.guidance import Zero123Guidance

    match guidance, spec:
        case PocketGuidance(), PocketSpec():
            return guidance.retuned(spec.run, spec.prompt_suffix)
        case ((StableDiffusionGuidance() | SDXLGuidance()), (StableDiffusionSpec() | SDXLSpec())):
            adapter = spec.added.ip_adapter
            wishes = [one.wish for one in spec.controls]
            return guidance.retuned(spec.run, wishes, adapter_scale=None if adapter is None else adapter.scale)
        case StableDiffusion3Guidance(), SD3Spec():
            return guidance.retuned(spec.run, t5_length=spec.t5_length)
        case FluxGuidance(), FluxSpec():
            return guidance.retuned(spec.run, t5_length=spec.t5_length, embedded_guidance=spec.embedded_guidance)
        case ZImageGuidance(), ZImageSpec():
            return guidance.retuned(spec.run, text_length=spec.text_length)
        case Zero123Guidance(), Zero123Spec():
            return guidance.retuned(spec.run)
        case _:
            raise TypeError(f"{type(guidance).__name__} was not loaded by a {type(spec).__name__}")
