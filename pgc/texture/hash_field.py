# SPDX-License-Identifier: Apache-2.0
"""Functions of a place in space: a multiresolution hash grid and a small network behind it, in pure torch.

Müller et al., "Instant Neural Graphics Primitives", 2022, counted as the official PGC code's encoder counts. The grid
learns ten times as fast as the network, which the paper does not say.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["HashField", "HashSizes", "grid_resolutions"]

_PRIMES = (1, 2_654_435_761, 805_459_861)


@runtime_checkable
class HashSizes(Protocol):
    """The sizes of a grid and its network."""

    @property
    def grid_levels(self) -> int:
        """How many levels there are."""
        ...

    @property
    def features(self) -> int:
        """Numbers a row of the grid."""
        ...

    @property
    def coarsest_cells(self) -> int:
        """Cells a side of the first level."""
        ...

    @property
    def finest_cells(self) -> int:
        """Cells a side of the last level."""
        ...

    @property
    def rows(self) -> int:
        """Of one level at most."""
        ...

    @property
    def hidden(self) -> int:
        """Units of the network's one hidden layer."""
        ...

    @property
    def network_rate(self) -> float:
        """The network's learning rate over the grid's."""
        ...

    @property
    def seed(self) -> int:
        """Of what the parameters begin as."""
        ...


def grid_resolutions(config: HashSizes) -> list[int]:
    """Returns the vertices a side of each level, as the official code's encoder counts them."""
    # Rounded first: 2^8 by way of logarithms may be a little above 256.
    return [math.ceil(round(scale, 9)) + 1 for scale in _scales(config)]


def _scales(config: HashSizes) -> list[float]:
    """Cells a side of each level, less one."""
    growth = math.log2(config.finest_cells / config.coarsest_cells) / max(config.grid_levels - 1, 1)
    return [2.0 ** (level * growth) * config.coarsest_cells - 1.0 for level in range(config.grid_levels)]


class HashField(nn.Module):
    """A grid and its network: places to `outputs` numbers each, before any activation."""

    grid: nn.Parameter

    def __init__(self, sizes: HashSizes, outputs: int, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self._sizes_of_levels = sizes
        self._scales = _scales(sizes)
        self._resolutions = grid_resolutions(sizes)
        self._sizes = [min(sizes.rows, side**3) for side in self._resolutions]
        generator = torch.Generator().manual_seed(sizes.seed)
        width = sizes.grid_levels * sizes.features
        grid = (torch.rand((sum(self._sizes), sizes.features), generator=generator) * 2.0 - 1.0) * 1e-4
        self.grid = nn.Parameter(grid.to(device))
        # The last layer has this name in checkpoints, whatever it gives.
        for name, (after, before) in {"hidden": (sizes.hidden, width), "colors": (outputs, sizes.hidden)}.items():
            bound = 1.0 / math.sqrt(before)
            weight, bias = (
                (torch.rand(shape, generator=generator) * 2.0 - 1.0) * bound for shape in ((after, before), (after,))
            )
            self.register_parameter(f"{name}_weight", nn.Parameter(weight.to(device)))
            self.register_parameter(f"{name}_bias", nn.Parameter(bias.to(device)))

    def outputs_at(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n k"]:
        """Returns the network's outputs at places of [-1, 1]³; places outside are taken to its border."""
        features = torch.cat(
            [
                _interpolated(positions, table, scale, side)
                for table, scale, side in zip(
                    self.grid.split(self._sizes), self._scales, self._resolutions, strict=True
                )
            ],
            dim=1,
        )
        hidden = torch.relu(nn.functional.linear(features, *self._layer("hidden")))
        return nn.functional.linear(hidden, *self._layer("colors"))

    def _layer(self, name: str) -> tuple[Tensor, Tensor]:
        return self.get_parameter(f"{name}_weight"), self.get_parameter(f"{name}_bias")

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Returns Adam's groups: the grid at `learning_rate`, the network at a part of it."""
        network = [parameter for name in ("hidden", "colors") for parameter in self._layer(name)]
        return [
            {"params": [self.grid], "lr": learning_rate, "name": "grid"},
            {"params": network, "lr": learning_rate * self._sizes_of_levels.network_rate, "name": "network"},
        ]


def _interpolated(
    positions: Float[Tensor, "n 3"], table: Float[Tensor, "r f"], scale: float, side: int
) -> Float[Tensor, "n f"]:
    """Interpolates a level's features in the eight vertices around each place."""
    place = ((positions.clamp(-1.0, 1.0) + 1.0) * 0.5) * scale + 0.5
    low = place.floor()
    within = place - low
    x, y, z = torch.stack([1.0 - within, within], dim=2).unbind(dim=1)
    # Corners in the order of their bits: x changes fastest.
    weights = ((x[:, None, None, :] * y[:, None, :, None]) * z[:, :, None, None]).reshape(-1, 8)
    rows = _rows(low.long(), side, len(table))
    # One look-up of all eight in the level's own table: its gradient is as large as that and no larger. On the CPU an
    # embedding's gradient would take ten times as long.
    found = table.index_select(0, rows.reshape(-1)).reshape(*rows.shape, table.shape[1])
    return torch.bmm(weights[:, None], found)[:, 0]


def _rows(low: Int[Tensor, "n 3"], side: int, size: int) -> Int[Tensor, "n 8"]:
    """Each vertex's own row where there are enough, else by the hash of its coordinates; vertices beyond the last,
    half a cell outside, wrap around, as in the official encoder."""
    dense = side**3 <= size
    factors = (1, side, side * side) if dense else _PRIMES
    x, y, z = (torch.stack([low[:, at], low[:, at] + 1], dim=1) * factors[at] for at in range(3))
    x, y, z = x[:, None, None, :], y[:, None, :, None], z[:, :, None, None]
    joined = x + y + z if dense else x ^ y ^ z
    # A mask where that is the same: divisions are the dearest part of a look-up.
    return (joined & size - 1 if size & size - 1 == 0 else joined % size).reshape(-1, 8)
