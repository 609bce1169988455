# SPDX-License-Identifier: Apache-2.0
"""The same least squares as in quadratic.py, over those texels only that have a reason to change.

Forms on mips ask for a change under their taps, and what a change costs carries it a few texels further: elsewhere the
least change is none, or what a coarser resolution found already. So the unknowns are the free texels within `reach` of
a tap, in one vector a channel. The energy is one sparse matrix over them (costs and links) and a ladder of small ones:

    A = M + N_0 + P_1ᵀ (N_1 + P_2ᵀ (N_2 + …) P_2) P_1

with P_k the box filter from mip k − 1 to k, and N_k the forms' normal matrix over the texels that they touch. Products
and sums have a fixed order, whatever the number of threads: same input, same bits. What iterates is in torch, and runs
where it is told to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor
from torch.nn import functional as F

from pgc.texture.finishing.ladder import Matrix, build_ladder, costs_and_links, grown, needed_texels
from pgc.texture.finishing.quadratic import NEIGHBOURS, JumpLevel, QuadraticConfig, box_mip, jumps_of

__all__ = ["ActiveProblem"]

_CPU = torch.device("cpu")
_ROW = 1024
"""Inner products are summed in rows of so many numbers, and those in float64."""


class ActiveProblem:
    """A problem as `QuadraticProblem` has it; texels further than `reach` from every tap keep the guess.

    Args:
        levels, cost, free, config: as there.
        reach: in texels; None: every free texel is an unknown.
        device: where iterations run.
    """

    def __init__(
        self,
        levels: Sequence[JumpLevel],
        cost: Float[np.ndarray, "tiles s s"],
        free: Bool[np.ndarray, "tiles s s"],
        config: QuadraticConfig,
        *,
        reach: int | None = None,
        device: torch.device = _CPU,
    ) -> None:
        self.config = config
        self._device = device
        self._free = free
        self._levels = list(levels)
        self._cost = cost.astype(np.float32)
        self._links = [
            np.float32(config.smoothness) * np.minimum(self._cost[a], self._cost[b]) * (free[a] & free[b])
            for a, b in NEIGHBOURS
        ]
        by_mip = {level.mip: level for level in levels}
        needed = needed_texels(by_mip, free.shape)
        active = free if reach is None else free & grown(needed[0], reach)
        self._texels = np.flatnonzero(active)
        self._rungs = build_ladder(by_mip, [active, *needed[1:]], config.stiffness, device)
        matrix, diagonal = costs_and_links(self._cost, self._links, self._texels)
        self._matrix = Matrix(matrix, device)
        self._preconditioner = _padded(1.0 / (diagonal + self._forms_diagonal()), device)

    @property
    def unknowns(self) -> int:
        """How many texels may change."""
        return len(self._texels)

    def jumps(self, image: Float[np.ndarray, "tiles s s c"]) -> list[Float64[np.ndarray, "n c"]]:
        """Returns the jumps of an image, one array a level."""
        return jumps_of(self._levels, image)

    def change(
        self,
        image: Float32[np.ndarray, "tiles s s c"],
        guess: Float32[np.ndarray, "tiles s s c"] | None = None,
        iterations: int | None = None,
    ) -> Float32[np.ndarray, "tiles s s c"]:
        """Finds the change that minimises the energy; where no unknown is, it is the guess, or zero."""
        result = np.empty_like(image)
        for channel in range(image.shape[-1]):
            plane = np.ascontiguousarray(image[..., channel])
            start = None if guess is None else np.ascontiguousarray(guess[..., channel])
            result[..., channel] = self._change_of_plane(plane, start, iterations)
        return result

    def prolonged(self, change: Float32[np.ndarray, "tiles s s c"]) -> Float32[np.ndarray, "tiles 2*s 2*s c"]:
        """Returns a change at twice the size: interpolated between free texels, since others say nothing of it."""
        free = torch.from_numpy(self._free[:, None].astype(np.float32))
        known = _twice(free).clamp_min(1e-6)
        result = np.empty((len(change), 2 * change.shape[1], 2 * change.shape[2], change.shape[3]), np.float32)
        for channel in range(change.shape[-1]):
            plane = torch.from_numpy(np.ascontiguousarray(change[..., channel]))[:, None]
            result[..., channel] = (_twice(plane * free) / known)[:, 0].numpy()
        return result

    def _change_of_plane(self, plane: np.ndarray, guess: np.ndarray | None, iterations: int | None) -> np.ndarray:
        guess = None if guess is None else guess * self._free
        result = np.zeros_like(plane) if guess is None else guess.copy()
        if not len(self._texels):
            return result
        first = self._residual(plane, None)
        scale = _dot(first, self._preconditioner * first)
        residual = first if guess is None else self._residual(plane + guess, guess)
        limit = self.config.iterations if iterations is None else iterations
        found = self._solve(residual, scale * self.config.tolerance**2, limit)
        result.reshape(-1)[self._texels] += found
        return result

    def _solve(self, residual: Tensor, goal: Tensor, limit: int) -> np.ndarray:
        """Conjugate gradients from zero."""
        count = len(self._texels)
        change = torch.zeros_like(residual)
        scaled = self._preconditioner * residual
        direction = scaled.clone()
        energy = _dot(residual, scaled)
        for _ in range(limit):
            if bool(energy <= goal):
                break
            product = torch.zeros_like(residual)
            product[:count] = self._apply(direction[:count])
            step = float(energy / _dot(direction, product).clamp_min(1e-30))
            change.add_(direction, alpha=step)
            residual = residual.sub_(product, alpha=step)
            torch.mul(self._preconditioner, residual, out=scaled)
            previous, energy = energy, _dot(residual, scaled)
            direction.mul_(float(energy / previous.clamp_min(1e-30))).add_(scaled)
        return change[:count].cpu().numpy()

    def _apply(self, vector: Tensor) -> Tensor:
        held, values = [], vector
        for rung in self._rungs:
            if rung.down is not None:
                values = rung.down @ values
            held.append(values)
        total: Tensor | None = None
        for rung, values in zip(reversed(self._rungs), reversed(held), strict=True):
            result = torch.zeros_like(values) if total is None else total
            if len(rung.touched):
                result[rung.touched] += rung.normal @ values[rung.touched].contiguous()
            total = result if rung.up is None else rung.up @ result
        product = self._matrix @ vector
        return product if total is None else product.add_(total)

    def _residual(self, plane: np.ndarray, change: np.ndarray | None) -> Tensor:
        """Minus the energy's gradient at the unknowns, where the image is `plane` and `change` has brought it there."""
        forces = self._forces(plane)
        if change is not None:
            gradient = self._cost * change
            for (before, after), weight in zip(NEIGHBOURS, self._links, strict=True):
                flow = weight * (change[after] - change[before])
                gradient[before] -= flow
                gradient[after] += flow
            forces = forces + gradient.reshape(-1)[self._texels]
        return _padded(-forces, self._device)

    def _forms_diagonal(self) -> np.ndarray:
        """The diagonal of what the forms add to the matrix."""
        total = np.zeros(0, np.float32)
        for rung in reversed(self._rungs):
            own = np.zeros(len(rung.chosen), np.float32)
            own[rung.touched.cpu().numpy()] = rung.forms.multiply(rung.forms).sum(axis=0)
            own += total if len(total) else 0.0
            # A texel is a quarter of the next mip's, and the diagonal goes by the square.
            total = own if rung.up is None else rung.up.on_host(own) * np.float32(0.25)
        return total if self._rungs else np.zeros(len(self._texels), np.float32)

    def _forces(self, plane: np.ndarray) -> np.ndarray:
        """What the forms' jumps ask of the unknowns."""
        mip, pulls = plane[..., None], []
        for number, rung in enumerate(self._rungs):
            mip = box_mip(mip, 1) if number else mip
            pull = np.zeros(len(rung.chosen), np.float32)
            pull[rung.touched.cpu().numpy()] = rung.forms.T @ (rung.whole @ mip.reshape(-1))
            pulls.append(pull)
        total = np.zeros(0, np.float32)
        for rung, pull in zip(reversed(self._rungs), reversed(pulls), strict=True):
            pull += total if len(total) else 0.0
            total = pull if rung.up is None else rung.up.on_host(pull)
        return total if self._rungs else np.zeros(len(self._texels), np.float32)


def _padded(values: np.ndarray, device: torch.device) -> Float32[Tensor, " rows"]:
    """The values, and zeros up to a whole row."""
    padded = torch.zeros(-(-len(values) // _ROW) * _ROW, dtype=torch.float32)
    padded[: len(values)] = torch.from_numpy(values.astype(np.float32))
    return padded.to(device)


def _twice(image: Float32[Tensor, "tiles 1 s s"]) -> Float32[Tensor, "tiles 1 2*s 2*s"]:
    return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)


def _dot(a: Float32[Tensor, " n"], b: Float32[Tensor, " n"]) -> Tensor:
    """Inner product: rows in float32, their sums in float64."""
    return (a * b).view(-1, _ROW).sum(1).double().sum()
