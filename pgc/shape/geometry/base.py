# SPDX-License-Identifier: Apache-2.0
"""What every geometry does: parameters that a run learns, and a mesh of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.shape.rendering.moving_mesh import MovingMesh

__all__ = ["Geometry"]


@runtime_checkable
class Geometry(Protocol):
    """A shape with parameters of its own, in the normalised space of a run."""

    @property
    def vanished(self) -> bool:
        """Whether a step would have left no surface: the shape of before it is kept, and no further step helps."""
        ...

    @property
    def penalized(self) -> bool:
        """Whether `penalty` can be anything but 0."""
        ...

    def mesh(self) -> MovingMesh:
        """Returns the mesh of this moment, on the graph of the parameters."""
        ...

    def penalty(self, mesh: MovingMesh) -> Float[Tensor, ""]:
        """Returns what is unlikely of a shape, in units of the gradient on one pixel; `mesh` is its own of now."""
        ...

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Returns groups for `UniformAdam`."""
        ...

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
