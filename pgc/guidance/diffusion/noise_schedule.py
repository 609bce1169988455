# SPDX-License-Identifier: Apache-2.0
"""The noise that a model was trained with, read from the configuration of whatever sampler it ships with.

All samplers of the table below share one family: z_t = √ᾱ_t·z + √(1 - ᾱ_t)·ε at whole steps t, with ᾱ the product of
1 - β. Others (EDM's σ, flow matching's straight lines, consistency models) feed their network other inputs and other
times; read as if they were of this family, they would give a plausible and wrong gradient. They are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from jaxtyping import Float32
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import PredictionType

__all__ = ["SCHEDULERS", "BetaDefaults", "NoiseSchedule", "noise_schedule"]


@dataclass(frozen=True, slots=True)
class BetaDefaults:
    """What a sampler's class takes where its configuration says nothing."""

    start: float
    end: float
    schedule: str


_DDPM = BetaDefaults(0.0001, 0.02, "linear")
_KARRAS_SAMPLERS = BetaDefaults(0.00085, 0.012, "linear")
_LATENT = BetaDefaults(0.00085, 0.012, "scaled_linear")

SCHEDULERS: Mapping[str, BetaDefaults] = {
    "DDPMScheduler": _DDPM,
    "DDPMParallelScheduler": _DDPM,
    "DDIMScheduler": _DDPM,
    "DDIMParallelScheduler": _DDPM,
    "DDIMInverseScheduler": _DDPM,
    "PNDMScheduler": _DDPM,
    "LMSDiscreteScheduler": _DDPM,
    "EulerDiscreteScheduler": _DDPM,
    "EulerAncestralDiscreteScheduler": _DDPM,
    "DPMSolverMultistepScheduler": _DDPM,
    "DPMSolverMultistepInverseScheduler": _DDPM,
    "DPMSolverSinglestepScheduler": _DDPM,
    "DEISMultistepScheduler": _DDPM,
    "UniPCMultistepScheduler": _DDPM,
    "SASolverScheduler": _DDPM,
    "HeunDiscreteScheduler": _KARRAS_SAMPLERS,
    "KDPM2DiscreteScheduler": _KARRAS_SAMPLERS,
    "KDPM2AncestralDiscreteScheduler": _KARRAS_SAMPLERS,
    "DPMSolverSDEScheduler": _KARRAS_SAMPLERS,
    "LCMScheduler": _LATENT,
    "TCDScheduler": _LATENT,
}
"""Samplers whose training noise is understood, by diffusers' names of their classes."""

_BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
_PREDICTIONS = ("epsilon", "v_prediction", "sample")
_LEAST_ALPHA = 2.0**-24
"""ᾱ of a last step that is pure noise, as diffusers' Euler sampler has it: so that √ᾱ may be divided by."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoiseSchedule:
    """How much noise there is at each step of training, and what the network says of it."""

    alphas_cumprod: Float32[Tensor, " t"]
    """ᾱ_t, falling, in [2⁻²⁴, 1); on the CPU."""
    prediction_type: PredictionType


def noise_schedule(config: Mapping[str, Any], source: str) -> NoiseSchedule:
    """Reads a scheduler_config.json.

    Args:
        config: its content.
        source: where it is from, for the message.

    Raises:
        GuidanceError: the sampler is not in `SCHEDULERS`, or a setting of it means another kind of noise; the message
            names it.
    """
    name = config.get("_class_name")
    if not isinstance(name, str) or not name:
        raise GuidanceError(f"{source}: its scheduler_config.json names no scheduler; download the model again.")
    if name not in SCHEDULERS:
        raise GuidanceError(f"{source} uses {name}, {_kind_of(name)}; {_EXPECTED}")
    prediction = config.get("prediction_type", "epsilon")
    _refuse_other_kinds(config, name, source, prediction)
    betas = SCHEDULERS[name]
    kind: Any = DDPMScheduler
    try:
        schedule = kind(
            num_train_timesteps=config.get("num_train_timesteps", 1000),
            beta_start=config.get("beta_start", betas.start),
            beta_end=config.get("beta_end", betas.end),
            beta_schedule=config.get("beta_schedule", betas.schedule),
            trained_betas=config.get("trained_betas"),
            rescale_betas_zero_snr=bool(config.get("rescale_betas_zero_snr")),
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise GuidanceError(
            f"{source}: the numbers of its {name} cannot be used ({error}); download the model again."
        ) from error
    used: Tensor = schedule.betas
    if not bool(((used > 0.0) & (used <= 1.0)).all()):
        raise GuidanceError(f"{source}: the betas of its {name} do not lie between 0 and 1; download the model again.")
    return NoiseSchedule(
        alphas_cumprod=schedule.alphas_cumprod.float().clamp_min(_LEAST_ALPHA),
        prediction_type=cast(PredictionType, prediction),
    )


_EXPECTED = (
    "expected a model of the Stable Diffusion family whose noise is given by betas (its scheduler is DDPM, DDIM, PNDM, "
    "Euler, DPM-Solver, UniPC or the like). Choose another model."
)


def _kind_of(name: str) -> str:
    if name.startswith(("EDM", "Cosine", "ScoreSdeVe", "KarrasVe")):
        return "whose noise is given by sigmas (EDM), which pgc cannot use"
    if "Flow" in name or name.startswith("LTX"):
        return "of a flow-matching model, which pgc cannot use"
    return "which pgc does not understand"


def _refuse_other_kinds(config: Mapping[str, Any], name: str, source: str, prediction: object) -> None:
    """Settings by which a sampler of the table means another kind of noise all the same."""
    if config.get("use_flow_sigmas") or prediction == "flow_prediction":
        raise GuidanceError(f"{source} uses {name} with flow sigmas, of a flow-matching model; {_EXPECTED}")
    if prediction not in _PREDICTIONS:
        raise GuidanceError(
            f"{source} predicts {prediction!r}; expected a model that predicts {', '.join(_PREDICTIONS)}."
        )
    if config.get("timestep_type", "discrete") != "discrete":
        raise GuidanceError(
            f"{source} uses {name} with {config['timestep_type']} times (EDM): its network is not asked by whole "
            f"steps; {_EXPECTED}"
        )
    schedule = config.get("beta_schedule", SCHEDULERS[name].schedule)
    if config.get("trained_betas") is None and schedule not in _BETA_SCHEDULES:
        raise GuidanceError(
            f"{source} uses {name} with beta_schedule {schedule!r}; expected {', '.join(_BETA_SCHEDULES)}."
        )
    if config.get("rescale_betas_zero_snr") and prediction == "epsilon":
        raise GuidanceError(
            f"{source} predicts epsilon with rescale_betas_zero_snr: at its last step there is nothing but noise, from "
            "which epsilon says nothing; expected v_prediction or sample."
        )
