# SPDX-License-Identifier: Apache-2.0
"""What a run needs of a graphics card, from what its parts were counted to need (`pgc.runs.memory.costs`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pgc.distillation.build import has_image_target
from pgc.guidance.diffusion.latent_diffusion_config import weights_dtypes
from pgc.guidance.specs import OracleSpec
from pgc.optimization.config import OptimizeConfig
from pgc.runs.memory.costs import DiffusionSpec, TeacherSpec, cost_of, readers_of, streamed_gb
from pgc.runs.memory.ladder import MemoryPlan
from pgc.runs.settings.presets import RunSettings

__all__ = ["SubjectNeeds", "needed_gb", "readers_gb", "step_tflop", "texels_gb", "texture_needs", "waiting_gb"]

_CONTEXT = 0.4
"""What the driver, cuBLAS and cuDNN take beside torch's own memory."""
_CACHE = (0.54, 0.07)
"""Of G-buffers that are kept, in general and on a card (`pgc.rendering.raster.choice.rasterizer_config`)."""
_LARGEST_LAYER = 0.1
"""Of what visits the card in turn, and the next that comes before it has gone."""
_TEXELS = (0.43, 1.31)
"""Of a texture of 2048 texels, unlit and lit: with gradients, moments, average, and what a step makes of them."""
_LIGHT = 0.07
"""What is made of the environments, once a run."""
_PAINTER = 0.65
"""Of a warm start's texels of 2048: where they lie, and what one view says of them. Counted by its tensors."""
_HELD, _PEAK = (0.135, 0.66), (0.206, 0.76)
"""Of a view of 1024 pixels, unlit and lit: what its picture holds while the prior is asked, and the most that making
and differentiating it takes. Counted as the prior was, on the CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectNeeds:
    """What a run needs beside its prior, by what it learns: a texture, a shape or a volume."""

    optimize: OptimizeConfig
    """As asked for."""
    fixed: float
    """GB whatever is seen: parameters, with gradients and moments, and what a step makes of them."""
    held: float
    """GB of a view of 1024 x 1024 pixels while the prior is asked."""
    peak: float
    """GB of such a view when it is made and differentiated."""
    decodes: bool
    """Whether the prior's pictures are looked at, too."""
    pictures: int = 1
    """Pictures of a view that the prior judges, one after the other."""
    fronts: int = 0
    """Views beside those that are asked for, of which the prior is not asked."""
    texture_size: int | None = None
    """Side of the texture; None: there is none."""
    smaller: str = ""
    """What a person may ask for less of, where there is no texture: "ask for …"."""


def texture_needs(settings: RunSettings) -> SubjectNeeds:
    """Returns what a texture run needs beside its prior."""
    lit, side = settings.material is not None, settings.texture.texture_size
    compares = settings.material is not None and settings.material.baseline == "reconstruction"
    warm = settings.optimize.warm_start is not None
    # What a teacher wants is decoded to find its light, whatever the loss.
    explained = settings.optimize.explained_light is not None
    return SubjectNeeds(
        optimize=settings.optimize,
        fixed=_TEXELS[lit] * (side / 2048) ** 2 + (_LIGHT if lit else 0.0),
        held=_HELD[lit],
        peak=_PEAK[lit],
        decodes=compares or warm or explained or has_image_target(settings.optimize.distillation),
        texture_size=side,
        fronts=int(settings.optimize.front_scale > 0.0),
    )


def needed_gb(plan: MemoryPlan, spec: TeacherSpec, subject: SubjectNeeds, device: torch.device) -> float:
    """Returns the peak of a run with this plan in GB, the driver's own share included. `spec` is that of the plan."""
    pixels = (plan.views + subject.fronts) * (plan.resolution / 1024) ** 2
    base = _CONTEXT + _CACHE[device.type == "cuda"] + subject.fixed
    held, peak = subject.held * pixels, subject.peak * pixels
    if isinstance(spec, OracleSpec):
        return base + peak
    weights, asked = _prior_gb(plan, spec, subject, device)
    if subject.optimize.warm_start is not None and subject.texture_size is not None:
        # It paints while the prior holds nothing.
        asked = max(asked, _PAINTER * (min(subject.texture_size, 4 * plan.resolution) / 2048) ** 2)
    # The picture is there while the prior is asked; it is differentiated when all that the prior held is gone.
    return base + weights + max(held + asked, peak)


def texels_gb(settings: RunSettings) -> float:
    """Returns GB of the texels of one tile, with gradients and the optimiser's two moments."""
    texels = (settings.texture.texture_size / 2048) ** 2
    return (0.4 if settings.material is None else 1.1) * texels


def waiting_gb(plan: MemoryPlan, spec: TeacherSpec, device: torch.device) -> float:
    """Returns GB of main memory for the weights of UNet and ControlNets where they wait there."""
    if isinstance(spec, OracleSpec) or not plan.streamed:
        return 0.0
    return streamed_gb(spec) * weights_dtypes(spec.run, device)[0].itemsize / 2


def readers_gb(spec: TeacherSpec) -> float:
    """Returns GB of main memory for text encoders and an IP-Adapter's image encoder, which wait there in any plan."""
    return 0.0 if isinstance(spec, OracleSpec) else readers_of(spec)


def step_tflop(plan: MemoryPlan, spec: TeacherSpec, pictures: int = 1) -> float | None:
    """Returns the TFLOP of a step with this plan, of so many pictures a view; None where they were not counted."""
    if isinstance(spec, OracleSpec):
        return None
    cost = cost_of(spec)
    if cost.row_tflop is None:
        return None
    encodings = 2 if plan.view_by_view else 1
    view = 2 * cost.row_tflop + encodings * cost.encode_tflop + cost.backward_tflop
    return plan.views * pictures * view * _area(plan, spec)


def _area(plan: MemoryPlan, spec: DiffusionSpec) -> float:
    own = cost_of(spec).image_size
    return ((plan.image_size or own) / own) ** 2


def _prior_gb(
    plan: MemoryPlan, spec: DiffusionSpec, subject: SubjectNeeds, device: torch.device
) -> tuple[float, float]:
    """GB of the prior's weights, and the most beside them."""
    cost, area = cost_of(spec), _area(plan, spec)
    dtype, vae_dtype = weights_dtypes(spec.run, device)
    wide, vae_wide = dtype.itemsize / 2, vae_dtype.itemsize / 2
    network = _LARGEST_LAYER if plan.streamed else streamed_gb(spec)
    rows = plan.views * (1 if spec.run.sequential_guidance else 2)
    denoiser = cost.row * min(rows, plan.rows or rows) * area * wide
    encoder_held, encoder_peak = (one * area * vae_wide for one in (cost.encoder_held, cost.encoder_peak))
    # View by view, the encoder's graph and the denoiser are never there at the same time.
    asked = max(encoder_peak, denoiser)
    if not plan.view_by_view:
        asked = max(plan.views * encoder_peak, plan.views * encoder_held + denoiser)
    if subject.decodes:
        asked = max(asked, cost.decoder * area * vae_wide)
    # A Mac has no other memory for them to wait in.
    readers = readers_of(spec) if device.type == "mps" else 0.0
    return (network + readers) * wide + cost.vae * vae_wide, asked
