# SPDX-License-Identifier: Apache-2.0
"""The pocket prior: a small latent diffusion model trained on procedural renders.

Importing this package is cheap: neither torch nor diffusers is loaded here. ``weights_folder()``
names the shipped model, which loads like any Stable Diffusion folder.
"""

from pathlib import Path

__all__ = ["weights_folder"]


def weights_folder() -> Path:
    """Folder of the shipped prior, in the diffusers layout (see ``MODEL_CARD.md`` in it)."""
    return Path(__file__).resolve().parent / "weights"
