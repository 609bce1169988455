# SPDX-License-Identifier: GPL-3.0-or-later
"""How far an installation is, read from what pip prints."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["PipProgress", "Progress", "State"]

State = Literal["running", "done", "failed", "cancelled"]
_UNITS = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_DOWNLOAD = re.compile(r"^\s*(?:Downloading|Using cached)\s+(\S+)\s+\(([\d.]+)\s*(bytes|kB|MB|GB)\)")
_COLLECT = re.compile(r"^(?:Collecting|Processing)\s+(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A moment of an installation. `factor` from 0 to 1; `detail`: the package at hand, or why it failed."""

    state: State
    step: str = ""
    factor: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipProgress:
    """Follows pip's output line by line; `expected` bytes make one step."""

    expected: int
    loaded: int = 0
    packages: int = 0
    detail: str = ""
    unpacking: bool = False

    def after(self, line: str) -> PipProgress:
        """Returns what is known after one more line."""
        if match := _DOWNLOAD.match(line):
            size = int(float(match[2]) * _UNITS[match[3]])
            name = match[1].rpartition("/")[2].split("-")[0]
            return replace(self, loaded=self.loaded + size, detail=f"{name} ({match[2]} {match[3]})")
        if match := _COLLECT.match(line):
            name = match[1].replace("\\", "/").rpartition("/")[2]
            # A requirement ends at its condition, a wheel's name at the version.
            name = name.split("-")[0] if name.endswith(".whl") else re.split(r"[=<>!~\[;]", name)[0]
            return replace(self, packages=self.packages + 1, detail=name)
        if line.startswith("Installing collected packages"):
            return replace(self, unpacking=True, detail="Unpacking")
        return self

    @property
    def factor(self) -> float:
        """0 to 1: loading is the first four fifths. Without a size, each package brings it half as near to them."""
        if self.unpacking:
            return 0.8
        by_size = self.loaded / self.expected if self.expected > 0 else 0.0
        return 0.8 * min(1.0, max(by_size, 1.0 - 0.98**self.packages))
