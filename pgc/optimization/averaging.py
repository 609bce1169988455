# SPDX-License-Identifier: Apache-2.0
"""Averaging of iterates (Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992).

A prior disagrees with itself from step to step, and the texels follow it around. Their mean over the last part of
a run is nearer to what the prior means than any single iterate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from pgc.errors import CheckpointError

__all__ = ["TexelAverage"]


class TexelAverage:
    """The running mean of a fixed list of parameters, in their own dtype and on their device."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.count = 0
        self.means: list[Tensor] = []

    @torch.no_grad()
    def update(self) -> None:
        """Takes the parameters as they are now into the mean."""
        self.count += 1
        if not self.means:
            self.means = [parameter.detach().clone() for parameter in self.parameters]
            return
        for mean, parameter in zip(self.means, self.parameters, strict=True):
            mean.lerp_(parameter, 1.0 / self.count)

    @torch.no_grad()
    def apply(self) -> None:
        """Puts the mean in place of the parameters; does nothing before the first `update`."""
        for parameter, mean in zip(self.parameters, self.means, strict=bool(self.means)):
            parameter.copy_(mean)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the means and their number, as tensors; empty before the first `update`."""
        if not self.means:
            return {}
        return {"count": torch.tensor(self.count), **{str(index): mean for index, mean in enumerate(self.means)}}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continues from `state_dict`.

        Raises:
            CheckpointError: the state has another number of tensors.
        """
        if not state:
            self.count, self.means = 0, []
            return
        if len(state) != len(self.parameters) + 1:
            raise CheckpointError(
                f"The checkpoint averages {len(state) - 1} tensors, the run {len(self.parameters)}; "
                "it belongs to a run with other settings."
            )
        self.count = int(state["count"])
        self.means = [state[str(index)].to(parameter).clone() for index, parameter in enumerate(self.parameters)]
