# SPDX-License-Identifier: Apache-2.0
"""Sparse least squares on images and their mips, by conjugate gradients in a fixed order (same input, same bits)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from scipy.sparse import csr_matrix

from pgc.errors import ConfigError

__all__ = [
    "NEIGHBOURS",
    "ImageProblem",
    "JumpLevel",
    "MultiresolutionProblem",
    "QuadraticConfig",
    "QuadraticProblem",
    "box_mip",
    "box_mip_transposed",
    "jumps_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuadraticConfig:
    """Settings of the solver.

    Attributes:
        stiffness: weight of the jumps against changing the image, > 0.
        smoothness: weight of differences between neighbouring changes, >= 0; its root is about the distance in
            texels over which a change spreads.
        iterations: conjugate gradient steps at most, at the coarsest resolution.
        refinements: the same at every finer one, which starts from the coarser one's result.
        tolerance: the solver stops at this fraction of the first residual.

    Raises:
        ConfigError: a value is out of range.
    """

    stiffness: float = 10.0
    smoothness: float = 4.0
    iterations: int = 150
    refinements: int = 30
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if self.stiffness <= 0.0 or self.smoothness < 0.0 or self.tolerance < 0.0:
            raise ConfigError(f"Expected stiffness > 0, smoothness >= 0 and tolerance >= 0; got {self}.")
        if self.iterations < 1 or self.refinements < 1:
            raise ConfigError(f"Expected at least one iteration and refinement; got {self}.")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JumpLevel:
    """Linear forms on one mip of an image that ought to be zero.

    Attributes:
        matrix: one row a form, one column a texel of mip `mip` of all tiles.
        mip: which box-filtered mip the columns are.
        weight: weight of all rows.
    """

    matrix: csr_matrix
    mip: int
    weight: float = 1.0


def box_mip(image: Float[np.ndarray, "tiles s s c"], level: int) -> Float[np.ndarray, "tiles m m c"]:
    """Returns mip `level` of an image, by 2x2 box filters."""
    for _ in range(level):
        rows = image[:, ::2] + image[:, 1::2]
        image = (rows[:, :, ::2] + rows[:, :, 1::2]) * image.dtype.type(0.25)
    return image


def box_mip_transposed(image: Float[np.ndarray, "tiles m m c"], level: int) -> Float[np.ndarray, "tiles s s c"]:
    """Applies the transpose of `box_mip`: every texel gets its share of the coarse one."""
    factor = 1 << level
    return np.repeat(np.repeat(image * image.dtype.type(1.0 / factor**2), factor, axis=2), factor, axis=1)


@runtime_checkable
class ImageProblem(Protocol):
    """What can find a change of an image, at one resolution."""

    config: QuadraticConfig

    def jumps(self, image: Float[np.ndarray, "tiles s s c"]) -> list[Float64[np.ndarray, "n c"]]:
        """Returns the jumps of an image, one array a level."""
        ...

    def change(
        self,
        image: Float32[np.ndarray, "tiles s s c"],
        guess: Float32[np.ndarray, "tiles s s c"] | None = None,
        iterations: int | None = None,
    ) -> Float32[np.ndarray, "tiles s s c"]:
        """Finds the change; see `QuadraticProblem.change`."""
        ...

    def prolonged(self, change: Float32[np.ndarray, "tiles s s c"]) -> Float32[np.ndarray, "tiles t t c"]:
        """Returns a change that was found, at twice the size, for the next finer problem to start from."""
        ...


def jumps_of(levels: Sequence[JumpLevel], image: Float[np.ndarray, "tiles s s c"]) -> list[Float64[np.ndarray, "n c"]]:
    """Returns the forms' values on an image, one array a level."""
    image = image.astype(np.float64)
    return [level.matrix @ box_mip(image, level.mip).reshape(-1, image.shape[-1]) for level in levels]


class QuadraticProblem:
    """Finds the least change of an image that makes its jumps vanish, as far as their weights ask.

    The plain form, over all texels: what active_set.py does faster is compared with it.

    Args:
        levels: the jumps.
        cost: price of changing each texel, > 0.
        free: texels that may change; the others keep their values exactly.
        config: settings.
    """

    def __init__(
        self,
        levels: Sequence[JumpLevel],
        cost: Float[np.ndarray, "tiles s s"],
        free: Bool[np.ndarray, "tiles s s"],
        config: QuadraticConfig,
    ) -> None:
        self.config = config
        self._levels = list(levels)
        self._free = free[..., None].astype(np.float32)
        self._cost = cost[..., None].astype(np.float32)
        self._links = [
            np.float32(config.smoothness) * np.minimum(self._cost[a], self._cost[b]) * self._free[a] * self._free[b]
            for a, b in NEIGHBOURS
        ]
        self._normal = {
            level.mip: csr_matrix((level.matrix.T @ level.matrix) * (config.stiffness * level.weight), dtype=np.float32)
            for level in self._levels
        }
        self._preconditioner = self._free / self._diagonal()

    def jumps(self, image: Float[np.ndarray, "tiles s s c"]) -> list[Float64[np.ndarray, "n c"]]:
        """Returns the jumps of an image, one array a level."""
        return jumps_of(self._levels, image)

    def change(
        self,
        image: Float32[np.ndarray, "tiles s s c"],
        guess: Float32[np.ndarray, "tiles s s c"] | None = None,
        iterations: int | None = None,
    ) -> Float32[np.ndarray, "tiles s s c"]:
        """Finds the change that minimises the energy; zero where the image is not free.

        Args:
            image: what is to be changed.
            guess: a change to start from.
            iterations: steps at most, instead of those of the settings.
        """
        change = np.zeros_like(image) if guess is None else guess * self._free
        residual = -self._free * self._forces(image)
        scale = _dot(residual, self._preconditioner * residual)
        if guess is not None:
            residual -= self._apply(change)
        scaled = self._preconditioner * residual
        direction = scaled.copy()
        energy = _dot(residual, scaled)
        goal = scale * self.config.tolerance**2
        for _ in range(self.config.iterations if iterations is None else iterations):
            if (energy <= goal).all():
                break
            product = self._apply(direction)
            step = (energy / np.maximum(_dot(direction, product), 1e-30)).astype(np.float32)
            change += step * direction
            residual -= step * product
            scaled = self._preconditioner * residual
            previous, energy = energy, _dot(residual, scaled)
            direction *= (energy / np.maximum(previous, 1e-30)).astype(np.float32)
            direction += scaled
        return change

    def prolonged(self, change: Float32[np.ndarray, "tiles s s c"]) -> Float32[np.ndarray, "tiles t t c"]:
        """Returns a change at twice the size, block by block."""
        return 4.0 * box_mip_transposed(change, 1)

    def _forces(self, image: np.ndarray) -> np.ndarray:
        """Gradient of half the jumps' energy."""
        channels = image.shape[-1]
        mips = [image]
        for _ in range(max(self._normal, default=0)):
            mips.append(box_mip(mips[-1], 1))
        total = np.zeros_like(mips[-1])
        for level in range(len(mips) - 1, -1, -1):
            if level < len(mips) - 1:
                total = box_mip_transposed(total, 1)
            if level in self._normal:
                total += (self._normal[level] @ mips[level].reshape(-1, channels)).reshape(mips[level].shape)
        return total

    def _apply(self, change: np.ndarray) -> np.ndarray:
        result = self._forces(change)
        result += self._cost * change
        for (before, after), weight in zip(NEIGHBOURS, self._links, strict=True):
            flow = change[after] - change[before]
            flow *= weight
            result[before] -= flow
            result[after] += flow
        result *= self._free
        return result

    def _diagonal(self) -> np.ndarray:
        diagonal = self._cost.copy()
        for (before, after), weight in zip(NEIGHBOURS, self._links, strict=True):
            diagonal[before] += weight
            diagonal[after] += weight
        tiles, size = diagonal.shape[:2]
        for mip, normal in self._normal.items():
            coarse = normal.diagonal().reshape(tiles, size >> mip, size >> mip, 1)
            diagonal += box_mip_transposed(coarse, mip) / np.float32(4.0**mip)
        return diagonal


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner product a channel; summed in float64, in numpy's own fixed order."""
    return (a * b).sum(axis=(1, 2)).sum(axis=0, dtype=np.float64)


class MultiresolutionProblem:
    """The same problem at several resolutions; each starts from the result of the next coarser one.

    Args:
        problems: finest first, each half the size of the one before.
        weights: weight of each texel of the finest image when it is averaged for the coarser ones.
    """

    def __init__(self, problems: Sequence[ImageProblem], weights: Float[np.ndarray, "tiles s s"]) -> None:
        self.problems = list(problems)
        self._weights = [weights[..., None].astype(np.float32)]
        for _ in problems[1:]:
            self._weights.append(box_mip(self._weights[-1], 1))

    def solve(self, image: Float[np.ndarray, "tiles s s c"]) -> Float32[np.ndarray, "tiles s s c"]:
        """Returns the changed image, at full size."""
        images: list[np.ndarray] = [image.astype(np.float32)]
        for before, after in zip(self._weights[:-1], self._weights[1:], strict=True):
            images.append(box_mip(images[-1] * before, 1) / np.maximum(after, np.float32(1e-6)))
        if not self.problems:
            return images[0]
        *finer, coarsest = self.problems
        change, coarser = coarsest.change(images[-1]), coarsest
        for problem, smaller in zip(reversed(finer), reversed(images[:-1]), strict=True):
            change = problem.change(smaller, coarser.prolonged(change), problem.config.refinements)
            coarser = problem
        return images[0] + change


_ALL = slice(None)
NEIGHBOURS: tuple[tuple[tuple[slice, ...], tuple[slice, ...]], ...] = (
    ((_ALL, slice(None, -1)), (_ALL, slice(1, None))),
    ((_ALL, _ALL, slice(None, -1)), (_ALL, _ALL, slice(1, None))),
)
"""Both texels of every link between neighbours, down and to the right."""
