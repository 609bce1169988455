# SPDX-License-Identifier: Apache-2.0
"""Adam with one second moment for all of a tensor (Nicolet et al. 2021, section 4.2).

Plain Adam makes every vertex move as far as every other one, whatever its gradient: what a smoothing solve has shared
out would be lost again. Groups whose "uniform" is False are plain Adam's (Kingma and Ba, 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["UniformAdam"]


class UniformAdam(torch.optim.Optimizer):
    """See the module's text."""

    def __init__(self, groups: list[dict[str, Any]], *, betas: tuple[float, float], epsilon: float) -> None:
        super().__init__(groups, {"betas": betas, "epsilon": epsilon, "uniform": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Takes one step; there is no closure."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (first, second) = self.state[parameter], group["betas"]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float64)
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        count = float(state["step"])
        state["mean"].lerp_(gradient, 1.0 - first)
        state["square"].lerp_(gradient.square(), 1.0 - second)
        size = state["square"] / (1.0 - second**count)
        size = size.max().sqrt() if group["uniform"] else size.sqrt()
        parameter -= group["lr"] * (state["mean"] / (1.0 - first**count)) / (size + group["epsilon"])
