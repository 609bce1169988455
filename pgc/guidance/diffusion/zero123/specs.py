# SPDX-License-Identifier: Apache-2.0
"""Which Zero123, as plain data; imports fast."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from pgc.errors import GuidanceError
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.sources import ZERO123_LAYOUTS, pipeline_name

__all__ = ["Zero123Spec", "zero123_named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Zero123Spec:
    """Zero123 or Zero123-XL (Liu et al., "Zero-1-to-3: Zero-shot One Image to 3D Object", ICCV 2023; weights of XL:
    Deitke et al., "Objaverse-XL", NeurIPS 2023)."""

    source: str = "bennyguo/zero123-xl-diffusers"
    """Hub id, or folder in either of the two published layouts (`loading.PROJECTIONS`)."""
    run: LatentDiffusionConfig = field(default_factory=LatentDiffusionConfig)


def zero123_named(text: str) -> Zero123Spec | None:
    """Returns what stands after --guidance where it is a Zero123: zero123, or a folder or downloaded hub id of one.

    Raises:
        GuidanceError: it is a Stable Zero123 by its name; nothing else in its files tells the two apart.
    """
    if text == "zero123":
        return Zero123Spec()
    if "stablezero123" in re.sub(r"[^a-z0-9]", "", Path(text).name.lower()):
        raise GuidanceError(
            f"{text} is a Stable Zero123 by its name, which is told how high the picture's camera stood where Zero123 "
            "is told a distance; take Zero123 or Zero123-XL (pgc models pull zero123)."
        )
    return Zero123Spec(source=text) if pipeline_name(text) in ZERO123_LAYOUTS else None
