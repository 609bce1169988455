# SPDX-License-Identifier: Apache-2.0
"""How long a run takes on a card that is known: operations counted, at half of the card's peak.

Peaks are those of NVIDIA's data sheets for matrices in half precision without sparsity, summed in single precision, as
torch does. Half of it is what well-fed convolutions and attention reach; what a run really takes was not measured.
"""

from __future__ import annotations

import torch

__all__ = ["PEAKS", "card_name", "expected_seconds", "in_words", "peak_of"]

PEAKS: dict[str, float] = {
    "RTX 3060": 25.5,
    "RTX 3060 Ti": 32.4,
    "RTX 3070": 40.6,
    "RTX 3080": 59.5,
    "RTX 3090": 71.0,
    "RTX 4060": 30.2,
    "RTX 4060 Ti": 44.1,
    "RTX 4070": 58.3,
    "RTX 4070 Ti": 80.2,
    "RTX 4080": 97.5,
    "RTX 4090": 165.2,
    "RTX 5070": 61.7,
    "RTX 5070 Ti": 87.9,
    "RTX 5080": 112.6,
    "RTX 5090": 209.5,
    "RTX A6000": 154.8,
    "RTX 6000 Ada Generation": 364.2,
    "L4": 121.0,
    "L40S": 362.0,
    "A100-SXM4-40GB": 312.0,
    "A100-SXM4-80GB": 312.0,
    "A100-PCIE-40GB": 312.0,
    "A100 80GB PCIe": 312.0,
    "H100 80GB HBM3": 989.0,
    "H200": 989.0,
}
"""TFLOP a second. A laptop's card of the same number is another one, and not here."""
_SHARE = 0.5
_BUS = 12.0
"""GB a second from main memory to a card, which is what PCIe 4 gives with eight lanes."""


def card_name(device: torch.device) -> str:
    """Returns what its driver calls a card, without its maker; empty where there is none."""
    if device.type != "cuda":
        return ""
    return str(torch.cuda.get_device_name(device)).removeprefix("NVIDIA ").removeprefix("GeForce ")


def peak_of(card: str) -> float | None:
    """Returns the peak of a card in TFLOP a second; None for one that is not known."""
    return PEAKS.get(card)


def expected_seconds(tflop: float, streamed_gb: float, peak: float) -> float:
    """Returns how long so many operations take, with so many GB from main memory in between."""
    return tflop / (peak * _SHARE) + streamed_gb / _BUS


def in_words(seconds: float) -> str:
    """Returns "about 40 s", "about 6 min", "about 2.5 h", "about 12 h"."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"about {hours:.1f} h" if hours < 9.95 else f"about {hours:.0f} h"
