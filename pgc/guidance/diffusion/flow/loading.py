# SPDX-License-Identifier: Apache-2.0
"""From a specification to a flow model that is ready to use."""

from __future__ import annotations

from pathlib import Path

import torch

from pgc.errors import GuidanceError
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.flow.flux import FluxGuidance
from pgc.guidance.diffusion.flow.parts import FlowKind, FlowParts, Readers, load_flow_parts
from pgc.guidance.diffusion.flow.specs import FluxSpec, SD3Spec, ZImageSpec
from pgc.guidance.diffusion.flow.stable_diffusion_3 import StableDiffusion3Guidance
from pgc.guidance.diffusion.flow.z_image import ZImageGuidance
from pgc.guidance.diffusion.latent_diffusion_config import weights_dtypes

__all__ = ["load_flow"]


def load_flow(
    spec: SD3Spec | FluxSpec | ZImageSpec,
    device: torch.device,
    *,
    cache_dir: Path | None = None,
    words: Path | None = None,
) -> Guidance:
    """Loads the model. Arguments and errors as `pgc.guidance.specs.load_guidance` has them."""
    if spec.added.embeddings or spec.added.ip_adapter is not None:
        raise GuidanceError(f"{spec.source} is a flow model, which takes LoRA files alone; leave the others away.")
    dtypes = weights_dtypes(spec.run, device, half=torch.bfloat16)

    # A LoRA may change what a text encoder says.
    known = None if spec.added.loras else words

    def parts(kind: FlowKind, most: int | None = None) -> FlowParts:
        """Loads the parts of the model, as this kind."""
        found = load_flow_parts(
            spec.source,
            kind,
            dtypes=dtypes,
            device=device,
            readers=Readers(most=most, words=known),
            streamed=spec.run.memory.streamed,
            cache_dir=cache_dir,
        )
        if spec.added.loras:
            from pgc.guidance.diffusion.added.lora_files import merge_loras

            merge_loras(spec.added.loras, found.transformer, found.text_encoders, flow=kind)
        return found

    match spec:
        case SD3Spec():
            loaded = parts("sd3", None if spec.t5 else 2)
            return StableDiffusion3Guidance(
                spec.source, loaded, t5_length=spec.t5_length, config=spec.run, device=device
            )
        case FluxSpec():
            return FluxGuidance(
                spec.source,
                parts("flux"),
                t5_length=spec.t5_length,
                embedded_guidance=spec.embedded_guidance,
                config=spec.run,
                device=device,
            )
        case ZImageSpec():
            return ZImageGuidance(
                spec.source, parts("z_image"), text_length=spec.text_length, config=spec.run, device=device
            )
