# SPDX-License-Identifier: Apache-2.0
"""What is free on a graphics card, and beside it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import psutil
import torch

__all__ = ["DeviceMemory", "cap_memory", "device_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """The memory of a graphics card, in bytes."""

    available: int
    """Free, or held by this process already."""
    total: int
    host: int | None = None
    """What is free of the main memory, where weights may wait; None: not asked."""


def device_memory(device: torch.device) -> DeviceMemory | None:
    """Says what is free on a device; None for the CPU, whose memory the system manages."""
    host = int(psutil.virtual_memory().available)
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return DeviceMemory(available=free + torch.cuda.memory_reserved(device), total=total, host=host)
    if device.type == "mps":
        total = torch.mps.recommended_max_memory()
        used = torch.mps.driver_allocated_memory() - torch.mps.current_allocated_memory()
        return DeviceMemory(available=max(0, total - used), total=total, host=host)
    return None


def cap_memory(device: torch.device, memory: DeviceMemory | None, platform: str = sys.platform) -> None:
    """Makes torch raise, on Windows, where it would take more than is free, instead of spilling into main memory."""
    if device.type == "cuda" and platform == "win32" and memory is not None:
        torch.cuda.set_per_process_memory_fraction(min(1.0, memory.available / memory.total), device)
