# SPDX-License-Identifier: Apache-2.0
"""How much noise a flow model sees at each of its times, read from the configuration of its sampler.

Esser et al., "Scaling Rectified Flow Transformers", ICML 2024: x_σ = (1 - σ)·x + σ·ε. A larger picture needs more noise
to be hidden as much, so that σ is shifted: by a fixed number (SD3, Z-Image, FLUX.1-schnell), or by one that depends on
how many tokens the picture has (FLUX.1-dev).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from pgc.errors import GuidanceError

__all__ = ["FLOW_SCHEDULERS", "alphas_of", "flow_sigmas", "sigmas_of"]

FLOW_SCHEDULERS = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")
"""Samplers of straight flows whose settings are understood, by diffusers' names."""

_MOST_SIGMA = 1.0 / (1.0 + 2.0**-12)
"""Of the last time, so that √ᾱ may be divided by; as for the other models (`noise_schedule`)."""


def flow_sigmas(config: Mapping[str, Any], source: str, *, tokens: int) -> Float32[Tensor, " t"]:
    """Returns σ of each time, rising, in (0, 1); on the CPU.

    Args:
        config: the content of scheduler_config.json.
        source: where it is from, for the message.
        tokens: how many the network makes of a picture.

    Raises:
        GuidanceError: the sampler is none of a straight flow, or a setting of it is not understood.
    """
    name = config.get("_class_name")
    if name not in FLOW_SCHEDULERS:
        raise GuidanceError(
            f"{source} uses {name or 'no scheduler'}; expected one of a straight flow ({', '.join(FLOW_SCHEDULERS)}). "
            "Choose another model."
        )
    if config.get("invert_sigmas"):
        raise GuidanceError(f"{source} uses {name} with invert_sigmas, which pgc cannot use. Choose another model.")
    count = config.get("num_train_timesteps", 1000)
    if not isinstance(count, int) or count < 2:
        raise GuidanceError(f"{source}: num_train_timesteps is {count!r}; expected a whole number of 2 or more.")
    even = torch.arange(1, count + 1, dtype=torch.float64) / count
    shift = _shift(config, source, tokens)
    return (shift * even / (1.0 + (shift - 1.0) * even)).clamp_max(_MOST_SIGMA).float()


def _shift(config: Mapping[str, Any], source: str, tokens: int) -> float:
    """The s of σ' = s·σ / (1 + (s - 1)·σ)."""
    if not config.get("use_dynamic_shifting"):
        return _positive(config, "shift", 1.0, source)
    low, high = _positive(config, "base_shift", 0.5, source), _positive(config, "max_shift", 1.15, source)
    few, many = (
        _positive(config, "base_image_seq_len", 256.0, source),
        _positive(config, "max_image_seq_len", 4096.0, source),
    )
    if few == many:
        raise GuidanceError(f"{source}: its shift is given for one number of tokens, {few:g}, twice; expected two.")
    shift = low + (high - low) * (tokens - few) / (many - few)
    match config.get("time_shift_type", "exponential"):
        case "exponential":
            return math.exp(shift)
        case "linear" if shift > 0:
            return shift
        case kind:
            raise GuidanceError(
                f"{source}: its times are shifted by {shift:g} in the way {kind!r}; expected exponential, or linear by "
                "more than 0."
            )


def _positive(config: Mapping[str, Any], name: str, default: float, source: str) -> float:
    value = config.get(name)
    value = default if value is None else value
    if not isinstance(value, int | float) or not (value > 0 and math.isfinite(value)):
        raise GuidanceError(f"{source}: {name} of its scheduler is {value!r}; expected a number above 0.")
    return float(value)


def alphas_of(sigmas: Float32[Tensor, " t"]) -> Float32[Tensor, " t"]:
    """Returns ᾱ = (1 - σ)² / ((1 - σ)² + σ²): x_σ divided by the root of that sum is √ᾱ·x + √(1 - ᾱ)·ε."""
    signal, noise = (1.0 - sigmas).double().square(), sigmas.double().square()
    return (signal / (signal + noise)).float()


def sigmas_of(alphas: Float32[Tensor, " t"]) -> Float32[Tensor, " t"]:
    """Returns σ = √(1 - ᾱ) / (√ᾱ + √(1 - ᾱ)), the way back."""
    signal, noise = alphas.double().sqrt(), (1.0 - alphas.double()).sqrt()
    return (noise / (signal + noise)).float()
