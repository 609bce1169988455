# SPDX-License-Identifier: Apache-2.0
"""What a prior is shown of the mesh by ControlNets, as plain data: which pictures, how strongly, and when.

    depth=0.8,normal=0.3@0-0.6,edges=0.5@t0.2-1

is depth at 0.8 all the time, normals at 0.3 for the first six tenths of the run, and edges at 0.5 where t is at least a
fifth of all timesteps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from pgc.errors import ConfigError

__all__ = [
    "CONTROL_KINDS",
    "KNOWN_CONTROLNETS",
    "ControlFamily",
    "ControlKind",
    "ControlSpec",
    "ControlWindow",
    "ControlWish",
    "read_control",
]

ControlKind = Literal["depth", "depth-official", "normal", "tile", "shuffle", "edges", "light"]
"""`depth-official` shows the depth ControlNet what PGC-3D's code does: near black, far and background white. `light`
shows known materials under the light of the picture, as FlashTex or DreamMat does, whichever the ControlNet is of."""
CONTROL_KINDS: tuple[ControlKind, ...] = get_args(ControlKind)
ControlFamily = Literal["sd1", "sd2", "sdxl"]

KNOWN_CONTROLNETS: Mapping[ControlFamily, Mapping[ControlKind, str]] = {
    "sd1": {
        "depth": "lllyasviel/control_v11f1p_sd15_depth",
        "depth-official": "lllyasviel/control_v11f1p_sd15_depth",
        "normal": "lllyasviel/control_v11p_sd15_normalbae",
        "tile": "lllyasviel/control_v11f1e_sd15_tile",
        "shuffle": "lllyasviel/control_v11e_sd15_shuffle",
        "edges": "lllyasviel/control_v11p_sd15_canny",
        "light": "kangled/lightcontrolnet",
    },
    "sd2": {
        "depth": "thibaud/controlnet-sd21-depth-diffusers",
        "depth-official": "thibaud/controlnet-sd21-depth-diffusers",
        "normal": "thibaud/controlnet-sd21-normalbae-diffusers",
        "edges": "thibaud/controlnet-sd21-canny-diffusers",
        "light": "zzzyuqing/light-geo-controlnet",
    },
    "sdxl": {
        "depth": "diffusers/controlnet-depth-sdxl-1.0",
        "depth-official": "diffusers/controlnet-depth-sdxl-1.0",
        "tile": "xinsir/controlnet-tile-sdxl-1.0",
        "edges": "diffusers/controlnet-canny-sdxl-1.0",
    },
}
"""Published ControlNets of each family; another one is named by its hub id or folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlWindow:
    """When a control acts, as a share of the run or of all timesteps; both ends belong to it."""

    start: float = 0.0
    end: float = 1.0
    over: Literal["run", "noise"] = "run"

    def __post_init__(self) -> None:
        if not 0.0 <= self.start <= self.end <= 1.0:
            raise ConfigError(
                f"A control acts from {self.start:g} to {self.end:g}; expected two shares in [0, 1], the smaller first."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlWish:
    """A control that a person asked for."""

    kind: ControlKind
    scale: float = 1.0
    window: ControlWindow = field(default_factory=ControlWindow)

    def __post_init__(self) -> None:
        if not 0.0 <= self.scale <= 2.0:
            raise ConfigError(f"The control {self.kind} has the scale {self.scale:g}; it must lie in [0, 2].")

    def __str__(self) -> str:
        """Spells it as on the command line."""
        text = f"{self.kind}={_spelled(self.scale)}"
        if self.window == ControlWindow():
            return text
        over = "t" if self.window.over == "noise" else ""
        return f"{text}@{over}{_spelled(self.window.start)}-{_spelled(self.window.end)}"


def _spelled(number: float) -> str:
    """To a millionth, and never with an exponent."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSpec:
    """A control and where its ControlNet is: a hub id or a folder."""

    wish: ControlWish
    source: str


_NUMBER = r"(\d*\.?\d+)"
_CONTROL = re.compile(rf"\s*([a-z-]+)\s*(?:=\s*{_NUMBER})?\s*(?:@\s*(t?){_NUMBER}\s*-\s*{_NUMBER})?\s*")


def read_control(text: str) -> ControlWish:
    """Reads one control as it stands on the command line.

    Raises:
        ConfigError: no such control, or a number out of range.
    """
    match = _CONTROL.fullmatch(text)
    if match is None or match[1] not in CONTROL_KINDS:
        raise ConfigError(
            f"--control has {text!r}; expected KIND=SCALE, or KIND=SCALE@START-END, with one of "
            f"{', '.join(CONTROL_KINDS)}, such as depth=0.8,normal=0.3@0-0.6."
        )
    window = ControlWindow()
    if match[4] is not None:
        window = ControlWindow(start=float(match[4]), end=float(match[5]), over="noise" if match[3] else "run")
    scale = 1.0 if match[2] is None else float(match[2])
    return ControlWish(kind=cast(ControlKind, match[1]), scale=scale, window=window)
