# SPDX-License-Identifier: Apache-2.0
"""The pocket prior: a small latent diffusion model trained on procedural renders.

Importing this package is cheap: neither torch nor diffusers is loaded here. ``weights_folder()``
names the shipped model, which loads like any Stable Diffusion folder.
"""

import json
from pathlib import Path

__all__ = ["takes_shading", "weights_folder"]

_DEPTH_CHANNELS = 3


def weights_folder() -> Path:
    """Returns the folder of the shipped prior, in the diffusers layout (see ``MODEL_CARD.md`` in it)."""
    return Path(__file__).resolve().parent / "weights"


def takes_shading(folder: Path) -> bool:
    """Says whether the weights in ``folder`` can be told the light (see ``conditioning.lit_condition``); False if
    none."""
    try:
        settings = json.loads((folder / "controlnet" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return int(settings.get("conditioning_channels", _DEPTH_CHANNELS)) > _DEPTH_CHANNELS
