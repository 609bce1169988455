# SPDX-License-Identifier: Apache-2.0
"""Where a run computes, and why not on the graphics card where there is one that it cannot use."""

from __future__ import annotations

import gc
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import torch

from pgc.errors import ConfigError

__all__ = [
    "DEVICES",
    "DeviceName",
    "Machine",
    "NvidiaCard",
    "find_nvidia_card",
    "release_cached_memory",
    "resolve_device",
    "unused_accelerator",
    "with_index",
]

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[DeviceName, ...] = get_args(DeviceName)

_MPS_TORCH = (2, 13)
"""The first torch whose MPS backend has a backward pass of grid_sampler_2d, by which texels are fetched."""
_HIDDEN = frozenset({"", "-1", "NoDevFiles"})
_NVIDIA = "0x10de"
_DISPLAY = "0x03"
_GET_TORCH = "https://pytorch.org/get-started/locally"


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaCard:
    """What this machine shows of an NVIDIA card without asking its driver's library."""

    has_driver: bool
    driver: str = ""
    """Its version, where the system says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where a system shows its graphics cards."""

    root: Path = Path("/")
    platform: str = sys.platform
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


def find_nvidia_card(machine: Machine | None = None) -> NvidiaCard | None:
    """Finds an NVIDIA card of this machine; None where there is none, or where CUDA_VISIBLE_DEVICES hides it.

    Linux lists its cards under /sys and the driver under /proc (WSL has /dev/dxg and the driver's tool instead).
    Elsewhere the driver's tool, nvidia-smi, stands for both.
    """
    machine = machine or Machine()
    if machine.environment.get("CUDA_VISIBLE_DEVICES", "all").strip() in _HIDDEN:
        return None
    tool = shutil.which("nvidia-smi", path=machine.environment.get("PATH")) is not None
    if not machine.platform.startswith("linux"):
        return NvidiaCard(has_driver=True) if tool else None
    version = _text(machine.root / "proc/driver/nvidia/version")
    if version:
        found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", version)
        return NvidiaCard(has_driver=True, driver=found[1] if found else "")
    if (machine.root / "dev/dxg").exists():
        wsl = tool or (machine.root / "usr/lib/wsl/lib/nvidia-smi").exists()
        return NvidiaCard(has_driver=True) if wsl else None
    for device in (machine.root / "sys/bus/pci/devices").glob("*"):
        if _text(device / "vendor") == _NVIDIA and _text(device / "class").startswith(_DISPLAY):
            return NvidiaCard(has_driver=False)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        # Files of /proc and /sys come and go; one that cannot be read shows nothing.
        return ""


def unused_accelerator(machine: Machine | None = None) -> str | None:
    """Says why torch cannot use a card that this machine has, and what to install; None where nothing lies idle."""
    if torch.cuda.is_available():
        return _without_kernels()
    if torch.backends.mps.is_available():
        return _too_old_for_mps()
    card = find_nvidia_card(machine)
    if card is None:
        return None
    version = torch.__version__
    if not card.has_driver:
        return (
            "This machine has an NVIDIA card, but NVIDIA's driver is not loaded; install the driver (and restart) "
            "to use the card."
        )
    if torch.version.cuda is None:
        return (
            f"This machine has an NVIDIA card, but this torch ({version}) is built without CUDA; install PyTorch with "
            f"CUDA to use the card: {_GET_TORCH}"
        )
    driver = f" ({card.driver})" if card.driver else ""
    return (
        f"This machine has an NVIDIA card, but its driver{driver} does not serve this torch ({version}), which is "
        f"built for CUDA {torch.version.cuda}; update the driver, or install a PyTorch for an older CUDA: {_GET_TORCH}"
    )


def _too_old_for_mps() -> str | None:
    if _torch_version() >= _MPS_TORCH:
        return None
    return (
        f"This torch ({torch.__version__}) cannot learn textures on Apple's MPS: its grid_sampler_2d has no backward "
        f"pass there before torch {_MPS_TORCH[0]}.{_MPS_TORCH[1]}; update it: pip install -U torch"
    )


def _torch_version() -> tuple[int, int]:
    major, minor = torch.__version__.split("+")[0].split(".")[:2]
    return int(major), int(minor)


def _without_kernels() -> str | None:
    """A card that torch sees, but has no kernels for: each would fail with "no kernel image is available"."""
    names = (re.fullmatch(r"(sm|compute)_(\d+)(\d)\w?", name) for name in torch.cuda.get_arch_list())
    built_for = [(name[1], (int(name[2]), int(name[3]))) for name in names if name]
    if torch.version.hip is not None or not built_for:
        return None
    card = torch.cuda.get_device_capability(torch.cuda.current_device())
    # Machine code runs on later cards of the same generation; PTX ("compute") is translated for any later card.
    if any(level <= card and (kind == "compute" or level[0] == card[0]) for kind, level in built_for):
        return None
    oldest = min(level for _, level in built_for)
    return (
        f"This torch ({torch.__version__}, CUDA {torch.version.cuda}) has no kernels for the NVIDIA card of this "
        f"machine, which has compute capability {card[0]}.{card[1]} (kernels begin at {oldest[0]}.{oldest[1]}); "
        f"install a PyTorch for another CUDA: {_GET_TORCH}"
    )


def with_index(device: torch.device | str) -> torch.device:
    """Returns the same device by its full name: "cuda" is the current CUDA device, "mps" the only one.

    torch holds torch.device("cuda") and torch.device("cuda", 0) for different, and tensors always say the latter.
    """
    device = torch.device(device)
    if device.index is not None or device.type not in ("cuda", "mps"):
        return device
    return torch.device(device.type, torch.cuda.current_device() if device.type == "cuda" else 0)


def resolve_device(name: DeviceName) -> torch.device:
    """Returns the device that a name means here, with its index: "auto" takes CUDA, then Apple's MPS, then the CPU.

    "auto" passes over a device that this torch cannot use; `unused_accelerator` says why.

    Raises:
        ConfigError: the device is not there, or this torch cannot use it.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    why = unused_accelerator() if name != "cpu" else None
    if name == "auto":
        usable = () if why else ("cuda", "mps")
        return with_index(next((device for device in usable if there[device]), "cpu"))
    if not there[name]:
        usable = ", ".join(device for device, is_there in there.items() if is_there)
        reason = f" {why}" if why and name == "cuda" and not there["mps"] else ""
        raise ConfigError(f"This torch ({torch.__version__}) finds no {name} device; usable here: {usable}.{reason}")
    if why and name != "cpu":
        raise ConfigError(why)
    return with_index(name)


def release_cached_memory() -> None:
    """Gives memory that nothing uses any more back to the graphics card, whatever kind it is."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
