# SPDX-License-Identifier: Apache-2.0
"""What a run learns, and what it looks at: the part of the loop that differs between a texture and a shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.build import DistillationConfig
from pgc.guidance.base import Conditions
from pgc.optimization.config import OptimizeConfig
from pgc.optimization.map_gradients import Baseline
from pgc.optimization.step_parts import Picture, View
from pgc.optimization.stopwatch import Stopwatch

__all__ = ["Learnt", "Subject"]


@runtime_checkable
class Learnt(Protocol):
    """Parameters that a run changes: texels, or a geometry."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Returns all parameters."""
        ...

    def after_step(self) -> None:
        """Projects what must stay within bounds, after an optimiser step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that a resumed run needs, as tensors."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as torch.nn.Module
        """Restores what `state_dict` gave, bit for bit."""
        ...


@runtime_checkable
class Subject(Protocol):
    """What the loop works on. All that is random in it depends on the seed and a step's number alone."""

    @property
    def learnt(self) -> Learnt:
        """What the run changes."""
        ...

    @property
    def baseline(self) -> Baseline:
        """What the prior's picture is compared with for all maps but base colour."""
        ...

    @property
    def likeness(self) -> Float[Tensor, "1 3 h w"] | None:
        """A picture whose colours are aimed at, sRGB in [0, 1]."""
        ...

    @property
    def other_losses(self) -> Mapping[str, DistillationConfig]:
        """Losses of pictures by their names; all others have the run's own."""
        ...

    def optimizer(self, config: OptimizeConfig, *, fused: bool) -> torch.optim.Optimizer:
        """Builds the optimiser of what is learnt, with learning rates at their full height."""
        ...

    def set_progress(self, progress: float, live: float) -> None:
        """Sets where the run stands, and how much of what is learnt is live, each in [0, 1]."""
        ...

    def draw(self, index: int, step: int) -> View:
        """Draws what step `index` of distillation looks at, which is the run's step `step`."""
        ...

    def pictures(self, view: View, watch: Stopwatch) -> Sequence[Picture]:
        """Renders what is learnt as it is now, with the gradients that the caller has on; at least one picture."""
        ...

    def reference(self, picture: Picture) -> Float[Tensor, "b 3 h w"] | None:
        """Renders what the oracle knows in place of a picture; None for all other priors."""
        ...

    def conditions(
        self, picture: Picture, reference: Float[Tensor, "b 3 h w"] | None, *, step: int, progress: float
    ) -> Conditions:
        """Says what the prior is told of a picture in the run's step `step`."""
        ...

    def penalty(self, index: int, progress: float) -> Float[Tensor, ""] | None:
        """Returns a penalty on what is learnt itself, in units of the gradient on one pixel; None: there is none."""
        ...
