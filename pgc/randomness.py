# SPDX-License-Identifier: Apache-2.0
"""Every random draw of a run comes from (seed, step, purpose), so that a resumed run equals an uninterrupted one."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

__all__ = ["generator_for", "numpy_generator_for", "seed_for"]


def seed_for(seed: int, step: int, purpose: str) -> int:
    """Returns a 63-bit seed that depends on all three arguments and on nothing else.

    SHA-256 rather than `hash`, since Python's own hash of a string differs from process to process.
    """
    digest = hashlib.sha256(f"{seed}/{step}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator_for(seed: int, step: int, purpose: str) -> torch.Generator:
    """Makes a CPU generator for one purpose in one step.

    Always on the CPU: the draws are small, and the same run then sees the same draws on every device.
    """
    return torch.Generator(device="cpu").manual_seed(seed_for(seed, step, purpose))


def numpy_generator_for(seed: int, step: int, purpose: str) -> np.random.Generator:
    """Does what `generator_for` does, for code that draws through NumPy (cameras)."""
    return np.random.Generator(np.random.PCG64(seed_for(seed, step, purpose)))
