# SPDX-License-Identifier: Apache-2.0
"""Whether a prior and the device that was found for it go together."""

from __future__ import annotations

import torch

from pgc.devices import DeviceName
from pgc.errors import ConfigError
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import FlowSpec, GuidanceSpec, SDXLSpec, StableDiffusionSpec

__all__ = ["check_prior_fits"]


def check_prior_fits(
    spec: GuidanceSpec | Zero123Spec, asked: DeviceName, device: torch.device, unused: str | None
) -> tuple[str, ...]:
    """Returns what a person should know before a prior runs on this device.

    Args:
        asked: the device as it was named; with "auto" nobody has chosen the CPU.
        unused: from `unused_accelerator`.

    Returns:
        Sentences for the run's warnings.

    Raises:
        ConfigError: "auto" would run a big prior on the CPU beside a graphics card that only lacks software.
    """
    if asked != "auto" or device.type != "cpu":
        return ()
    if not isinstance(spec, StableDiffusionSpec | SDXLSpec | FlowSpec | Zero123Spec):
        return () if unused is None else (f"The run takes the CPU. {unused}",)
    name = "Stable Diffusion XL" if isinstance(spec, SDXLSpec) else "Stable Diffusion"
    name = spec.source if isinstance(spec, FlowSpec | Zero123Spec) else name
    if unused is not None:
        raise ConfigError(f"{unused} On the CPU, {name} would take days; with --device cpu it does so all the same.")
    return (f"There is no graphics card here that torch can use: {name} runs on the CPU, which may take days.",)
