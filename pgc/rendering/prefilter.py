# SPDX-License-Identifier: Apache-2.0
"""An environment, blurred beforehand by the lobe of every roughness: the light half of a split sum.

A lobe that is symmetric about its axis is a convolution along the azimuth for every pair of rows. So the prefilter
is a product in the frequencies of the azimuth, exact to the texel's quadrature and without noise; the kernels depend
on the picture's height alone and are computed once a process.
"""

import functools
import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Complex64, Float, Int
from torch import Tensor

from pgc.clamping import clamp_inward
from pgc.errors import ConfigError
from pgc.rendering.brdf import brdf_table
from pgc.rendering.latlong import Environment, latlong_coordinates, pad_latlong
from pgc.rendering.lobes import lobe_table

__all__ = ["LEVELS", "STEPS", "WIDEST", "PrefilteredEnvironment", "level_heights", "prefilter"]

STEPS = 16
"""Levels to a roughness of 1: level i holds roughness i / STEPS. Level 0 is the environment itself."""
LEVELS = STEPS + 2
"""The level after roughness 1 is a lobe as wide as a hemisphere; after all levels comes the irradiance over pi."""
WIDEST = (LEVELS - 1) / STEPS
"""The largest roughness that `PrefilteredEnvironment.specular` takes, for the hemisphere."""

_FULL_LEVELS = 9
"""Levels up to roughness 0.5 have the environment's own resolution; above, half of it is sharp enough."""
_CORE_ROWS = 6
_MAX_SUBSAMPLES = 4
_NEGLIGIBLE = 2e-5


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PrefilteredEnvironment:
    """What `pgc.rendering.pbr_shading` looks up.

    Attributes:
        name: of the environment.
        height: of the environment's picture, H.
        atlas: [3, rows, W + 2] float32, linear: all levels one below the other, each with its border (see
            `pad_latlong`), then the irradiance over pi.
        brdf_lut: see `pgc.rendering.brdf.brdf_table`.
        lobe_table: see `pgc.rendering.lobes`.
        views: 1 for a light that all views share; else each view has its own, one atlas below the other.
    """

    name: str
    height: int
    atlas: Float[Tensor, "3 rows columns"]
    brdf_lut: Float[Tensor, "2 R N"]
    lobe_table: Float[Tensor, "C Rl Nl"]
    views: int = 1

    def to(self, device: torch.device | str) -> "PrefilteredEnvironment":
        """Returns the same on `device`."""
        return replace(
            self,
            atlas=self.atlas.to(device),
            brdf_lut=self.brdf_lut.to(device),
            lobe_table=self.lobe_table.to(device),
        )

    def level(self, index: int) -> Float[Tensor, "3 h w"]:
        """Returns one level without its border; index `LEVELS` is the irradiance over pi."""
        tops, height = level_tops(self.height), level_heights(self.height)[index]
        return self.atlas[:, tops[index] + 1 : tops[index] + 1 + height, 1 : 1 + 2 * height]

    @property
    def irradiance(self) -> Float[Tensor, "3 h w"]:
        """Irradiance by the direction of the normal, W/m² where radiance is W/(m² sr)."""
        return self.level(LEVELS) * math.pi

    def diffuse(self, normal: Float[Tensor, "P 3"], view_index: Int[Tensor, "P"] | None = None) -> Float[Tensor, "P 3"]:
        """Returns irradiance over pi at unit normals: the radiance of a white, purely diffuse surface."""
        u, v = latlong_coordinates(normal)
        level = torch.full((len(normal),), LEVELS, dtype=torch.long, device=normal.device)
        return self._fetch(u, v, level, view_index)

    def specular(
        self,
        direction: Float[Tensor, "P 3"],
        roughness: Float[Tensor, "P"],
        view_index: Int[Tensor, "P"] | None = None,
    ) -> Float[Tensor, "P 3"]:
        """Returns radiance around unit directions under the lobe of a roughness in [0, WIDEST]; differentiable by
        both."""
        u, v = latlong_coordinates(direction)
        level = clamp_inward(roughness, 0.0, WIDEST) * STEPS
        lower = level.detach().floor().clamp_max(LEVELS - 2)
        share = (level - lower)[:, None]
        index = lower.long()
        near = self._fetch(u, v, index, view_index)
        return near + (self._fetch(u, v, index + 1, view_index) - near) * share

    def _fetch(
        self, u: Float[Tensor, "P"], v: Float[Tensor, "P"], index: Tensor, view_index: Tensor | None
    ) -> Float[Tensor, "P 3"]:
        """Bilinear values of one level a point, each in its view's atlas."""
        heights = torch.tensor(level_heights(self.height), device=u.device)[index]
        tops = torch.tensor(level_tops(self.height), device=u.device)[index]
        if self.views > 1:
            if view_index is None:
                raise ConfigError(f"'{self.name}' is the light of {self.views} views; say which view each point is of.")
            tops = tops + view_index * (self.atlas.shape[1] // self.views)
        rows, columns = self.atlas.shape[1:]
        x = (u * (2 * heights) + 1.0) * (2.0 / columns) - 1.0
        y = (v * heights + (tops + 1)) * (2.0 / rows) - 1.0
        grid = torch.stack([x, y], dim=-1)[None, None]
        return F.grid_sample(self.atlas[None], grid, mode="bilinear", align_corners=False)[0, :, 0].T


def prefilter(environment: Environment) -> PrefilteredEnvironment:
    """Blurs an environment for all roughnesses and for diffuse light (about 50 ms, but for the first of a size)."""
    height = environment.radiance.shape[1]
    spectrum = torch.fft.rfft(environment.radiance, dim=-1)
    parts = [pad_latlong(environment.radiance)]
    for index, rows in enumerate(level_heights(height)[1:], start=1):
        blurred = _convolve(spectrum, _kernel(height, rows, index).to(spectrum.device), 2 * height)
        padded = pad_latlong(blurred)
        parts.append(F.pad(padded, (0, 2 * height + 2 - padded.shape[-1])))
    device = environment.radiance.device
    return PrefilteredEnvironment(
        name=environment.name,
        height=height,
        atlas=torch.cat(parts, dim=1),
        brdf_lut=brdf_table().to(device),
        lobe_table=lobe_table().to(device),
    )


@functools.cache
def level_heights(height: int) -> tuple[int, ...]:
    """Counts the rows of every level, and of the irradiance after them, for an environment of `height` rows."""
    return (height,) * _FULL_LEVELS + (height // 2,) * (LEVELS - _FULL_LEVELS) + (height // 4,)


@functools.cache
def level_tops(height: int) -> tuple[int, ...]:
    """Returns the first row of every level's bordered picture in the atlas."""
    heights = level_heights(height)
    return tuple(sum(rows + 2 for rows in heights[:index]) for index in range(len(heights)))


def _convolve(
    spectrum: Complex64[Tensor, "3 H F"], kernel: Float[Tensor, "f rows H"], width: int
) -> Float[Tensor, "3 rows 2*rows"]:
    """Applies a kernel of `_kernel`; columns of a smaller picture lie between those of the larger one."""
    frequencies, rows = kernel.shape[:2]
    step = width // (2 * rows)
    cut = spectrum[..., :frequencies].permute(2, 1, 0)  # [f, H, 3]
    blurred = torch.complex(kernel @ cut.real.contiguous(), kernel @ cut.imag.contiguous())
    shift = torch.arange(frequencies, device=kernel.device) * (2.0 * math.pi * 0.5 * (step - 1) / width)
    blurred = blurred * torch.polar(torch.ones_like(shift), shift)[:, None, None]
    return torch.fft.irfft(blurred.permute(2, 1, 0), n=width, dim=-1)[..., ::step].contiguous()


@functools.cache
def _kernel(height: int, rows: int, index: int) -> Float[Tensor, "f rows H"]:
    """Spectrum along the azimuth of a level's lobe, from each of `rows` rows to each of `height` rows.

    Weights are the lobe at the texels' centres times their solid angle; near its peak, where a smooth lobe is
    narrower than a texel, an integral over the texel's bilinear footprint. Frequencies that are nil are left out.
    """
    alpha = None if index == LEVELS else (index / STEPS) ** 2
    step = math.pi / height
    upper = rows // 2  # the lower half is its mirror image
    out = ((torch.arange(upper) + 0.5) * (math.pi / rows))[:, None, None]
    source = ((torch.arange(height) + 0.5) * step)[None, :, None]
    turn = (torch.arange(height + 1) * step)[None, None, :]
    weights = _lobe(out, source, turn, alpha)
    # A lobe's full width at half maximum is about 2.6 alpha.
    subsamples = 1 if alpha is None or alpha > 1.0 else min(_MAX_SUBSAMPLES, math.ceil(2.0 * step / (2.6 * alpha)))
    if subsamples > 1:
        nearest = ((torch.arange(upper) + 0.5) * (height / rows)).floor().long()
        band = (nearest[:, None] + torch.arange(-_CORE_ROWS, _CORE_ROWS + 1)[None]).clamp(0, height - 1)
        core = _integrated(out, source[0, band], turn, (alpha, step, subsamples))
        weights.scatter_(1, band[:, :, None].expand(-1, -1, height + 1), core)
    even = torch.cat([weights, weights[:, :, 1:-1].flip(-1)], dim=-1)
    total = even.sum(dim=(1, 2), keepdim=True, dtype=torch.float64).float()
    spectrum = torch.fft.rfft(even / total, dim=-1).real
    needed = (spectrum.abs().amax(dim=(0, 1)) > _NEGLIGIBLE).nonzero().max()
    spectrum = spectrum[..., : int(needed) + 1]
    return torch.cat([spectrum, spectrum.flip((0, 1))]).permute(2, 0, 1).contiguous()


def _integrated(out: Tensor, source: Tensor, turn: Tensor, setup: tuple[float | None, float, int]) -> Tensor:
    """The lobe's integral over bilinear footprints (hats of one texel to either side), up to the texels' area."""
    alpha, step, count = setup
    offsets = (torch.arange(2 * count) + 0.5) / count - 1.0
    hats = (1.0 - offsets.abs()) / count
    total = torch.zeros(torch.broadcast_shapes(out.shape, source.shape, turn.shape))
    for row, row_hat in zip(offsets.tolist(), hats.tolist(), strict=True):
        for column, column_hat in zip(offsets.tolist(), hats.tolist(), strict=True):
            total += (row_hat * column_hat) * _lobe(out, source + row * step, turn + column * step, alpha)
    return total


def _lobe(out: Tensor, source: Tensor, turn: Tensor, alpha: float | None) -> Tensor:
    """GGX seen along its axis, D(h) (n·l); a hemisphere where alpha is above 1; the clamped cosine where it is None.

    Times the sine of the source's polar angle.
    """
    sines = source.sin().clamp_min(0.0)
    # 1 - cos of the angle between both directions, without cancellation.
    apart = 2.0 * ((out - source) * 0.5).sin() ** 2 + 2.0 * out.sin() * sines * (turn * 0.5).sin() ** 2
    cosine = (1.0 - apart).clamp_min(0.0)
    if alpha is None:
        return cosine * sines
    if alpha > 1.0:
        return (cosine > 0.0) * sines
    spread = 0.5 * apart + (1.0 - 0.5 * apart) * alpha * alpha
    return cosine * sines / (spread * spread)
