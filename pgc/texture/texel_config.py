# SPDX-License-Identifier: Apache-2.0
"""Settings of texel pyramids: what all maps share, which maps there are, and where a mesh wants texels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pgc.errors import ConfigError
from pgc.texture.finishing.seams import SeamConfig

__all__ = ["MapSettings", "TexelLayout", "TexelMaps", "TexelPyramidConfig"]


WIDEST_EDGE = 256
"""Texels of a mask's soft edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSettings:
    """What sets one map apart from the others.

    Attributes:
        initial: value of all texels where there is no initial texture, inside the range.
        low, high: range of the texels, inside [0, 1]; a range of [0, 1] is the whole of an 8-bit map.
        rate: factor on the learning rate, above 0.

    Raises:
        ConfigError: a value is out of range.
    """

    initial: float = 0.5
    low: float = 0.0
    high: float = 1.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.initial <= self.high <= 1.0 or self.low == self.high:
            raise ConfigError(
                f"Got a map from {self.low} to {self.high} that starts at {self.initial}; expected "
                "0 <= low <= initial <= high <= 1 and low below high."
            )
        if not self.rate > 0.0:
            raise ConfigError(f"Got a learning-rate factor of {self.rate}; expected a value above 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TexelPyramidConfig:
    """Settings of a texel pyramid. What the mesh decides is `TexelLayout`, which maps there are is `TexelMaps`.

    Attributes:
        texture_size: side in texels, a power of two from 16 to 8192.
        coarsest_size: side of the coarsest level, a power of two not above `texture_size`.
        start_size: side of the finest live level at progress 0; finer ones join evenly spaced until progress 1.
        rate_falloff: learning rate of a level over that of the next coarser one, in (0, 1]. Below 1, coarse
            levels learn first, and noise on single texels stays low.
        initial_value: value of all texels where there is no initial texture, in [0, 1]; maps with settings of their
            own start where those say.
        seams: the seam constraint at bake.
        mask_start: where texels are locked, what the others begin with: the initial texture's values (present), or
            what a texture without one has (anew).
        soft_edge: width in texels of the band beside locked texels over which the others come to meet them, at bake;
            0: none.

    Raises:
        ConfigError: a value is out of range.
    """

    texture_size: int = 512
    coarsest_size: int = 8
    start_size: int = 64
    rate_falloff: float = 0.75
    initial_value: float = 0.5
    seams: SeamConfig = field(default_factory=SeamConfig)
    mask_start: Literal["present", "anew"] = "present"
    soft_edge: int = 0

    def __post_init__(self) -> None:
        size = self.texture_size
        if not 16 <= size <= 8192 or size & (size - 1):
            raise ConfigError(f"Got a texture size of {size}; expected a power of two from 16 to 8192, such as 1024.")
        for name, side in (("coarsest_size", self.coarsest_size), ("start_size", self.start_size)):
            if side < 1 or side & (side - 1):
                raise ConfigError(f"Got {name} {side}; expected a power of two.")
        if self.coarsest_size > size:
            raise ConfigError(f"Got coarsest_size {self.coarsest_size} above the texture size {size}; lower it.")
        if not 0 <= self.soft_edge <= WIDEST_EDGE:
            raise ConfigError(f"Got a soft edge of {self.soft_edge} texels; expected 0 to {WIDEST_EDGE}.")
        if not (0.0 < self.rate_falloff <= 1.0 and 0.0 <= self.initial_value <= 1.0):
            raise ConfigError("rate_falloff must lie in (0, 1] and initial_value in [0, 1].")

    @property
    def levels(self) -> int:
        """Number of levels, finest to coarsest."""
        return (self.texture_size // self.coarsest_size).bit_length()


@dataclass(frozen=True, slots=True, kw_only=True)
class TexelLayout:
    """Where texels lie in UV space; the mesh decides it.

    Attributes:
        tiles: UDIM numbers.
        repeat: whether UVs wrap around (the mesh report's `needs_repeat`); for one tile only.

    Raises:
        ConfigError: a number is no tile, or is there twice, or several tiles are to repeat.
    """

    tiles: tuple[int, ...] = (1001,)
    repeat: bool = False

    def __post_init__(self) -> None:
        if not self.tiles or len(set(self.tiles)) != len(self.tiles) or min(self.tiles) < 1001:
            raise ConfigError(f"Got tiles {self.tiles}; expected distinct UDIM numbers from 1001 on.")
        if self.repeat and len(self.tiles) != 1:
            raise ConfigError(f"Repeat addressing works on one tile, got {len(self.tiles)}; set repeat to False.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TexelMaps:
    """Which maps a texel holds, and what sets single ones apart.

    Attributes:
        channels: channel groups, name -> number of channels.
        settings: of single channel groups; others have a range of [0, 1] and start where the pyramid's settings say.

    Raises:
        ConfigError: there is no map, one has no channel, or there are settings of another map.
    """

    channels: Mapping[str, int] = field(default_factory=lambda: {"base_color": 3})
    settings: Mapping[str, MapSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.channels or any(count < 1 for count in self.channels.values()):
            raise ConfigError(f"Got channels {dict(self.channels)}; expected at least one map with at least one each.")
        if strange := sorted(set(self.settings) - set(self.channels)):
            raise ConfigError(f"Got settings for {strange}, which are none of the channels {sorted(self.channels)}.")
