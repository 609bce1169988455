# SPDX-License-Identifier: Apache-2.0
"""The default texture field: a pyramid of texels in the caller's own UVs, optimised coarse to fine.

The texture is `initial + sum of levels`, clamped to [0, 1] (see composition.py). With all levels at zero it is the
initial texture exactly, and a gradient of zero leaves it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pgc.clamping import clamp_inward
from pgc.errors import ConfigError, TextureError
from pgc.mesh.data import TriangleMesh
from pgc.surface import SurfacePoints
from pgc.texture.composition import block_weights, compose, decompose, mip_chain, weight_pyramid
from pgc.texture.coverage import combine_seen, mark_seen, mip_weights
from pgc.texture.field import BakedTexture
from pgc.texture.finishing.fill import unseen_fraction
from pgc.texture.finishing.order import Finisher
from pgc.texture.locks import check_locks, restore_locked
from pgc.texture.mip_fetch import FetchPlan, plan_fetch, sample_planned
from pgc.texture.texel_config import MapSettings, TexelLayout, TexelMaps, TexelPyramidConfig
from pgc.texture.texel_surface import TexelSurface, texel_surface

__all__ = ["MapSettings", "TexelPyramid", "TexelPyramidConfig"]


class TexelPyramid(nn.Module):
    """Texels as parameters. See `TextureField` for the methods that a run uses.

    Args:
        triangles: mesh with UVs (UDIM-global), in the space of the run.
        config: settings.
        initial: texture from which the run starts; its size and tiles must be those of config and layout.
        lock_mask: one [S, S] bool tensor a tile, True = locked; needs `initial`.
        device: where parameters live.
        layout: where texels lie; by default one tile.
        maps: which maps there are; by default base colour.

    Raises:
        TextureError: `initial` or `lock_mask` does not fit.
    """

    progress: Tensor

    def __init__(
        self,
        triangles: TriangleMesh,
        config: TexelPyramidConfig,
        initial: BakedTexture | None = None,
        lock_mask: list[Tensor] | None = None,
        device: torch.device | str = "cpu",
        *,
        layout: TexelLayout | None = None,
        maps: TexelMaps | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.layout = layout or TexelLayout()
        self.maps = maps or TexelMaps()
        self.triangles = triangles
        size, tiles = config.texture_size, self.layout.tiles
        if initial is not None:
            self._check_initial(initial)
        self.surfaces: list[TexelSurface] = [texel_surface(triangles, size, tile, reach=1.0) for tile in tiles]
        coverage = torch.stack([mip_weights(surface) for surface in self.surfaces])[:, None]
        weights = weight_pyramid(coverage, config.levels)
        # Derived from the mesh, so not part of the state.
        self._normalised = [block_weights(level).to(device) for level in weights[:-1]]
        locked = check_locks(lock_mask, initial, size, tiles)
        self._locked = None if locked is None else locked.to(device)
        self._free = (
            None if locked is None else mip_chain((~locked).float().to(device), self._normalised, config.levels)
        )
        self._initial: dict[str, list[Tensor]] = {}
        if initial is not None:
            for name in self.channels:
                image = torch.stack(initial.maps[name]).to(device=device, dtype=torch.float32)
                if self._locked is not None and config.mask_start == "anew":
                    image = torch.where(self._locked, image, self._settings(name).initial)
                self._initial[name] = mip_chain(image, self._normalised, config.levels)
        self._finisher: Finisher | None = None
        self._planned: tuple[SurfacePoints, tuple[int, int], FetchPlan] | None = None
        self._marked = False
        self.details = nn.ParameterDict()
        for name, channels in self.channels.items():
            for level in range(config.levels):
                side = size >> level
                self.details[f"{name}_{level}"] = nn.Parameter(
                    torch.zeros(len(tiles), channels, side, side, device=device)
                )
        for level in range(config.levels):
            side = size >> level
            self.register_buffer(f"seen_{level}", torch.zeros(len(tiles), side, side, dtype=torch.bool, device=device))
        self.register_buffer("progress", torch.zeros((), dtype=torch.float64))

    @property
    def channels(self) -> Mapping[str, int]:
        """Channel groups: name -> number of channels."""
        return self.maps.channels

    @property
    def texture_size(self) -> int:
        """Side of a tile in texels."""
        return self.config.texture_size

    @property
    def finest_live(self) -> int:
        """The finest level that learns and shows at the present progress; 0 is full size."""
        config = self.config
        start = max((config.texture_size // min(config.start_size, config.texture_size)).bit_length() - 1, 0)
        start = min(start, config.levels - 1)
        joined = int(float(self.progress) * start + 1e-9)
        return max(start - joined, 0)

    def set_progress(self, fraction: float) -> None:
        """Sets where the run stands, in [0, 1]; finer levels become live as it grows. Raises ConfigError outside."""
        if not 0.0 <= fraction <= 1.0:
            raise ConfigError(f"Got progress {fraction}; expected a value from 0 to 1.")
        self.progress.fill_(fraction)

    def texels(self, name: str, finest: int) -> list[Tensor | None]:
        """Returns the mips of a map in its range from level `finest` on, [tiles, c, S/2^l, S/2^l] each; finer entries
        are None."""
        details = [self.details[f"{name}_{level}"] for level in range(self.config.levels)]
        sums = compose(details, self._normalised, finest)
        initial, settings = self._initial.get(name), self._settings(name)
        for level in range(finest, self.config.levels):
            value = sums[level]
            assert value is not None
            if self._free is not None:
                value = value * self._free[level]
            start = settings.initial if initial is None else initial[level]
            sums[level] = clamp_inward(value + start, settings.low, settings.high)
        return sums

    def _settings(self, name: str) -> MapSettings:
        return self.maps.settings.get(name) or MapSettings(initial=self.config.initial_value)

    def sample(self, points: SurfacePoints) -> dict[str, Tensor]:
        """Fetches differentiably at the footprint's mip: name -> [B, c, H, W] in [0, 1], zeros off the mask.

        With gradients on, the texels that were looked at are remembered as seen.
        """
        config, plan = self.config, self._plan(points)
        finest = config.levels - 1 if plan.finest is None else plan.finest
        mips = [self.texels(name, finest) for name in self.channels]
        if len(mips) == 1:
            return {name: sample_planned(mips[0], plan) for name in self.channels}
        # All maps in one fetch: on small textures most of its time goes into starting it.
        together = [None if level[0] is None else torch.cat([part for part in level if part is not None], dim=1)
                    for level in zip(*mips, strict=True)]  # fmt: skip
        values = sample_planned(together, plan).split(list(self.channels.values()), dim=1)
        return dict(zip(self.channels, values, strict=True))

    def _plan(self, points: SurfacePoints) -> FetchPlan:
        """Where these points fetch; worked out once for all updates that a step makes from them."""
        levels = (self.finest_live, self.config.levels - 1)
        if self._planned is None or self._planned[0] is not points or self._planned[1] != levels:
            plan = plan_fetch(
                points.uv,
                points.uv_footprint,
                points.mask,
                size=self.config.texture_size,
                levels=levels,
                tiles=self.layout.tiles,
                repeat=self.layout.repeat,
            )
            self._planned, self._marked = (points, levels, plan), False
        plan = self._planned[2]
        if torch.is_grad_enabled() and not self._marked:
            mark_seen(self.seen, plan)
            self._marked = True
        return plan

    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as torch.nn.Module
        """Loads as torch.nn.Module does. What was seen is loaded too, so points that were marked before are marked
        anew."""
        self._planned = None
        return super().load_state_dict(*arguments, **options)

    @torch.no_grad()
    def paint(self, name: str, image: Tensor, seen: Tensor) -> None:
        """Does what `pgc.optimization.warm_start.paintable.PaintableField.paint` says."""
        sizes = [self.texture_size >> level for level in range(self.config.levels)]
        if name not in self.channels or image.shape[-1] not in sizes:
            raise TextureError(
                f"Got map {name!r} of {image.shape[-1]} texels a side to paint; there are {list(self.channels)}, of "
                f"{sizes} texels."
            )
        level = sizes.index(image.shape[-1])
        levels = self.config.levels - level
        initial, settings = self._initial.get(name), self._settings(name)
        inside = clamp_inward(image, settings.low, settings.high)
        change = inside - (settings.initial if initial is None else initial[level])
        for at, detail in enumerate(decompose(mip_chain(change, self._normalised[level:], levels)), start=level):
            self.details[f"{name}_{at}"].copy_(detail)
        for at in range(level):
            self.details[f"{name}_{at}"].zero_()
        self.seen[level].logical_or_(seen)
        self.set_progress(1.0)

    @property
    def seen(self) -> list[Tensor]:
        """Texels looked at so far, [tiles, S/2^l, S/2^l] bool a level, by the mip at which they were."""
        return [self.get_buffer(f"seen_{level}") for level in range(self.config.levels)]

    @torch.no_grad()
    def preview(self, size: int) -> BakedTexture:
        """Returns what `TextureField.preview` says: a coarser level is the full texture's mip, and costs nothing."""
        level = 0
        while self.config.texture_size >> level > size and level < self.config.levels - 1:
            level += 1
        images = {name: self.texels(name, level)[level] for name in self.channels}
        maps = {name: list(image) for name, image in images.items() if image is not None}
        return BakedTexture(maps=maps, tiles=self.layout.tiles)

    def bake(self, *, finish: bool = True, names: Sequence[str] | None = None) -> BakedTexture:
        """Returns the texture at full size; the field itself stays as it is.

        Args:
            names: the maps to give; all by default.
            finish: fill unseen texels and gutters and close seams (about a second for 512²); False gives the
                texels as they are, for previews. Locks hold either way.

        Returns:
            Float32 on the CPU. A field that has not moved gives its initial texture, bit for bit.
        """
        seen = combine_seen(self.seen).cpu()
        with torch.no_grad():
            textures = {name: self._full_texture(name) for name in names or self.channels}
        moved = any(bool(parameter.detach().any()) for parameter in self.parameters())
        if finish and moved:
            initial = torch.cat([self._initial[name][0] for name in textures], dim=1) if self._initial else None
            whole = torch.cat(list(textures.values()), dim=1)
            done = self._get_finisher().finish(whole, seen, initial, anew=self.config.mask_start == "anew")
            parts = done.split([self.channels[name] for name in textures], dim=1)
            textures = dict(zip(textures, parts, strict=True))
        return BakedTexture(
            maps={name: [image.clone() for image in texture.cpu()] for name, texture in textures.items()},
            tiles=self.layout.tiles,
            uncovered_fraction=unseen_fraction(seen, self.surfaces),
        )

    def _full_texture(self, name: str) -> Tensor:
        texture = self.texels(name, 0)[0]
        assert texture is not None
        return restore_locked(texture, self._initial[name][0], self._locked) if name in self._initial else texture

    def _get_finisher(self) -> Finisher:
        if self._finisher is None:
            place, config = (self.layout.tiles, self.layout.repeat), self.config
            self._finisher = Finisher(
                self.triangles, self.surfaces, *place, self._locked, config.seams, config.soft_edge
            )
        return self._finisher

    def softened(self, texture: Tensor) -> Tensor:
        """Returns a baked map [tiles, c, S, S] with a soft edge beside locked texels, where one is wanted."""
        return self._get_finisher().softened(texture)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Returns Adam groups, one a map and level: the coarsest at `learning_rate`, finer ones less
        (`rate_falloff`)."""
        groups: list[dict[str, Any]] = []
        coarsest = self.config.levels - 1
        for name in self.channels:
            for level in range(self.config.levels):
                rate = self._settings(name).rate * learning_rate
                rate *= self.config.rate_falloff ** (coarsest - level)
                groups.append({"params": [self.details[f"{name}_{level}"]], "lr": rate, "name": f"{name}_{level}"})
        return groups

    def after_step(self) -> None:
        """Does nothing: the seam constraint acts at `bake`, where all levels are at hand."""

    def _check_initial(self, initial: BakedTexture) -> None:
        size, tiles = self.config.texture_size, self.layout.tiles
        if initial.tiles != tiles:
            raise TextureError(f"The initial texture has tiles {initial.tiles}, the mesh {tiles}; give one a tile.")
        for name, channels in self.channels.items():
            if name not in initial.maps:
                raise TextureError(f"The initial texture has no map '{name}'; it has {sorted(initial.maps)}. Add it.")
            for image in initial.maps[name]:
                if tuple(image.shape) != (channels, size, size):
                    raise TextureError(
                        f"The initial {name} has shape {tuple(image.shape)}, expected {(channels, size, size)}: "
                        f"resize it, or set the texture size to {image.shape[-1]}."
                    )
