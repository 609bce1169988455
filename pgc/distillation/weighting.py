# SPDX-License-Identifier: Apache-2.0
"""w(t) of score distillation."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["sigma_squared"]


def sigma_squared(alphas_cumprod: Float[Tensor, " t"], timestep: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Computes w(t) = σ_t² = 1 − ᾱ_t (Poole et al., DreamFusion, 2022; Pan et al., 2024, §5.1)."""
    return 1.0 - alphas_cumprod[timestep]
