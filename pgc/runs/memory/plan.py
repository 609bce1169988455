# SPDX-License-Identifier: Apache-2.0
"""How a run fits into a graphics card's memory: plans from what was asked for down to the least, and what each needs.

The first plan below what was asked for costs time alone: one view at a time through the encoder, and the prior asked
twice in place of once with twice the batch. Only then do views a step go, and the size of a view last of all. Windows'
driver lends main memory, a hundred times slower, where a card runs out, and raises nothing: so the plan is chosen
before the run, from what is free, and an error for want of memory only corrects it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from pgc.errors import ConfigError
from pgc.guidance.diffusion.latent_diffusion_config import weights_dtypes
from pgc.guidance.specs import (
    FlowSpec,
    FluxSpec,
    GuidanceSpec,
    OracleSpec,
    PocketSpec,
    SD3Spec,
    SDXLSpec,
    StableDiffusionSpec,
    ZImageSpec,
)
from pgc.runs.settings.presets import RunSettings

__all__ = ["DeviceMemory", "MemoryPlan", "MemoryPlanner", "cap_memory", "device_memory", "texels_gb"]

_GB = 10**9
_SMALLEST_RESOLUTION = 64
_SMALLEST_IMAGE = 256
_MARGIN = 1.05
_CONTEXT = int(0.4 * _GB)
"""What the driver, cuBLAS and cuDNN take beside torch's own memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What of a run's size depends on memory."""

    views: int
    """A step."""
    resolution: int
    """Side of a view, in pixels."""
    image_size: int | None = None
    """Side of the pictures that the prior sees; None: what it was trained on, or what was asked for."""
    view_by_view: bool = False
    """The encoder holds one view at a time, and the prior is asked twice a step, without and with the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """The memory of a graphics card, in bytes."""

    available: int
    """Free, or held by this process already."""
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _ModelCost:
    """GB in half precision at the model's own size; computed on the meta device, not measured on a card."""

    weights: float
    image_size: int
    encoder_view: float
    """The autoencoder's graph for one view, with its backward pass."""
    denoiser_row: float
    """UNet and ControlNet without a graph, a row of their batch."""


_SDXL = _ModelCost(weights=9.61, image_size=1024, encoder_view=6.36, denoiser_row=0.25)
_SD = _ModelCost(weights=2.9, image_size=512, encoder_view=1.59, denoiser_row=0.1)
# Of the flow models: parameters at two bytes; the autoencoder is SDXL's network with more channels. What a row takes is
# a guess from hidden sizes, not measured.
_SD3 = _ModelCost(weights=16.4, image_size=1024, encoder_view=6.36, denoiser_row=0.4)
_SD3_WITHOUT_T5 = _ModelCost(weights=6.9, image_size=1024, encoder_view=6.36, denoiser_row=0.4)
_FLUX = _ModelCost(weights=33.7, image_size=1024, encoder_view=6.36, denoiser_row=0.6)
_Z_IMAGE = _ModelCost(weights=20.5, image_size=1024, encoder_view=6.36, denoiser_row=0.6)
_POCKET = _ModelCost(weights=0.1, image_size=128, encoder_view=0.03, denoiser_row=0.02)


def device_memory(device: torch.device) -> DeviceMemory | None:
    """Says what is free on a device; None for the CPU, whose memory the system manages."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return DeviceMemory(available=free + torch.cuda.memory_reserved(device), total=total)
    if device.type == "mps":
        total = torch.mps.recommended_max_memory()
        used = torch.mps.driver_allocated_memory() - torch.mps.current_allocated_memory()
        return DeviceMemory(available=max(0, total - used), total=total)
    return None


def cap_memory(device: torch.device, memory: DeviceMemory | None, platform: str = sys.platform) -> None:
    """Makes torch raise, on Windows, where it would take more than is free, instead of spilling into main memory."""
    if device.type == "cuda" and platform == "win32" and memory is not None:
        torch.cuda.set_per_process_memory_fraction(min(1.0, memory.available / memory.total), device)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlanner:
    """The plans of one run on one device."""

    spec: GuidanceSpec
    settings: RunSettings
    """As asked for."""
    device: torch.device

    @property
    def plans(self) -> tuple[MemoryPlan, ...]:
        """The plans in the order of trying; the first is what was asked for."""
        return tuple(_plans(self.spec, self.settings))

    def known(self, number: int) -> int:
        """Returns the number of the nearest plan that there is: a checkpoint of another version may name one past the
        last."""
        return min(max(number, 0), len(self.plans) - 1)

    def apply(self, number: int) -> tuple[GuidanceSpec, RunSettings, MemoryPlan]:
        """Returns the prior and the settings of a run with this plan; and the plan, whose `view_by_view` goes to the
        loop."""
        plan = self.plans[self.known(number)]
        spec, settings = self.spec, self.settings
        settings = replace(settings, optimize=replace(settings.optimize, views=plan.views, resolution=plan.resolution))
        if isinstance(spec, OracleSpec):
            return spec, settings, plan
        sequential = spec.run.sequential_guidance or plan.view_by_view
        run = replace(spec.run, sequential_guidance=sequential, image_size=plan.image_size)
        return replace(spec, run=run), settings, plan

    def choose(self, memory: DeviceMemory | None, least: int = 0) -> int:
        """Chooses the first plan that fits, from number `least` on; the last, where that alone may.

        Raises:
            ConfigError: not even the last plan fits.
        """
        least = self.known(least)
        if memory is None:
            return least
        numbers = range(least, len(self.plans))
        for number in numbers:
            if self.estimate_bytes(number) * _MARGIN <= memory.available:
                return number
        needed = self.estimate_bytes(numbers[-1])
        if needed > memory.available:
            raise ConfigError(
                f"This run needs about {needed / _GB:.1f} GB on the graphics card even with one small view a step, "
                f"and {memory.available / _GB:.1f} of its {memory.total / _GB:.1f} GB are free. {self.suggestion()}"
            )
        return numbers[-1]

    def estimate_bytes(self, number: int) -> int:
        """Estimates the peak of a run with this plan, the graphics driver's own share included."""
        spec, settings, plan = self.apply(number)
        total = _renderer_gb(plan, settings)
        if not isinstance(spec, OracleSpec):
            total += _prior_gb(plan, spec, self.device)
        return int(total * _GB) + _CONTEXT

    def describe(self, number: int, memory: DeviceMemory | None = None, since: int = 0) -> str:
        """Says what a person is told about a smaller plan: why, and what it costs.

        Args:
            memory: what was free when the plan was chosen; None: it was taken because memory ran out.
            since: number of the plan before.
        """
        reason = f"{'This machine' if self.device.type == 'cpu' else 'The graphics card'} ran out of memory"
        if memory is not None:
            needed = self.estimate_bytes(since)
            reason = (
                f"What was asked for needs about {needed / _GB:.0f} GB on the graphics card, where "
                f"{memory.available / _GB:.1f} GB are free"
            )
        return f"{reason}: the job goes on with {_difference(self.plans[since], self.plans[number])}."

    def suggestion(self) -> str:
        """Says what to do where nothing fits: what takes the most comes first."""
        side, texels = self.settings.texture.texture_size, texels_gb(self.settings)
        own = f"of {side} x {side} pixels" + (f", which alone takes about {texels:.1f} GB" if texels >= 1 else "")
        close = "Close other programs"
        if self.device.type != "cpu":
            close += " that use the graphics card (a render in Blender among them)"
        match self.spec:
            case SDXLSpec() | FlowSpec():
                smaller = ", take a smaller model (sd15)"
            case StableDiffusionSpec():
                smaller = ", take the pocket prior"
            case _:
                smaller = ""
        other = f"{close}{smaller}"
        least = self.estimate_bytes(len(self.plans) - 1) - _CONTEXT
        if texels >= 1 and texels * _GB > least / 2:
            return f"Ask for a smaller texture than the one {own}. Else: {other[0].lower()}{other[1:]}."
        return f"{other}, or ask for a smaller texture than the one {own}."


def _plans(spec: GuidanceSpec, settings: RunSettings) -> Iterator[MemoryPlan]:
    optimize = settings.optimize
    image_size = None if isinstance(spec, OracleSpec) else spec.run.image_size
    plan = MemoryPlan(views=optimize.views, resolution=optimize.resolution, image_size=image_size)
    yield plan
    if not isinstance(spec, OracleSpec) and (plan.views > 1 or not spec.run.sequential_guidance):
        plan = replace(plan, view_by_view=True)
        yield plan
    while plan.views > 1:
        plan = replace(plan, views=plan.views // 2)
        yield plan
    if plan.resolution > _SMALLEST_RESOLUTION:
        plan = replace(plan, resolution=max(plan.resolution // 2, _SMALLEST_RESOLUTION))
        if isinstance(spec, StableDiffusionSpec | SDXLSpec | FlowSpec):
            own = image_size or _cost(spec).image_size
            # A token of a flow model stands for 16 pixels.
            plan = replace(plan, image_size=min(own, max(own // 2 // 16 * 16, _SMALLEST_IMAGE)))
        yield plan


_Diffusion = PocketSpec | StableDiffusionSpec | SDXLSpec | SD3Spec | FluxSpec | ZImageSpec


def _cost(spec: _Diffusion) -> _ModelCost:
    match spec:
        case SD3Spec():
            return _SD3 if spec.t5 else _SD3_WITHOUT_T5
        case FluxSpec():
            return _FLUX
        case ZImageSpec():
            return _Z_IMAGE
        case SDXLSpec():
            return _SDXL
        case StableDiffusionSpec():
            return _SD
        case PocketSpec():
            return _POCKET


def _prior_gb(plan: MemoryPlan, spec: _Diffusion, device: torch.device) -> float:
    cost = _cost(spec)
    dtype, vae_dtype = weights_dtypes(spec.run, device)
    area = ((plan.image_size or cost.image_size) / cost.image_size) ** 2
    rows = plan.views * (1 if spec.run.sequential_guidance else 2)
    denoiser = cost.denoiser_row * rows * area * dtype.itemsize / 2
    encoder = cost.encoder_view * area * vae_dtype.itemsize / 2
    # View by view, the encoder's graph and the denoiser are never there at the same time.
    passing = max(encoder, denoiser) if plan.view_by_view else plan.views * encoder + denoiser
    controls = _control_gb(spec) * dtype.itemsize / 2
    return cost.weights * dtype.itemsize / 2 + controls + passing


def _control_gb(spec: _Diffusion) -> float:
    """Weights of the ControlNets beside the one that `_ModelCost` counts, and of an IP-Adapter's picture encoder."""
    match spec:
        case SDXLSpec():
            return 2.5 * len(spec.controls) + (0.0 if spec.added.ip_adapter is None else 3.7)
        case StableDiffusionSpec():
            return 0.72 * len(spec.controls) + (0.0 if spec.added.ip_adapter is None else 1.3)
        case _:
            return 0.0


def _renderer_gb(plan: MemoryPlan, settings: RunSettings) -> float:
    """Texels with their optimiser, and views with their shading: 1.0 (3.9 lit) for the largest preset's 4 views."""
    pixels = plan.views * (plan.resolution / 1024) ** 2
    return texels_gb(settings) + (0.15 if settings.material is None else 0.7) * pixels


def texels_gb(settings: RunSettings) -> float:
    """Returns GB of the texels of one tile, with gradients and the optimiser's two moments."""
    texels = (settings.texture.texture_size / 2048) ** 2
    return (0.4 if settings.material is None else 1.1) * texels


def _difference(before: MemoryPlan, after: MemoryPlan) -> str:
    changes: list[str] = []
    if after.views != before.views:
        changes.append(
            f"{after.views} instead of {before.views} views a step, which takes more steps for the same quality"
        )
    if after.resolution != before.resolution:
        changes.append(
            f"views of {after.resolution} instead of {before.resolution} pixels, so fine detail is less sharp"
        )
    if after.view_by_view and not before.view_by_view and not changes:
        changes.append("one view after the other, which takes about a sixth longer and changes nothing else")
    return ", and with ".join(changes)
