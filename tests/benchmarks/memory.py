# SPDX-License-Identifier: Apache-2.0
"""What the published models need of a card's memory and time, counted without one.

    python -m tests.benchmarks.memory [--out FILE]

Their true networks on torch's meta device, in half precision: weights, what the encoder's gradient holds, the peak of
each pass, and floating-point operations. `pgc.runs.memory.costs` has these figures as the planner reads them, and a
test holds them to this count. The result file has what the planner chooses on cards of 8 to 80 GB.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pgc.evaluation.cache import environment, rounded, write_json
from pgc.guidance.base import Conditions
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.memory.lean_encoder import encode_lean
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.specs import SDXLSpec, StableDiffusionSpec
from pgc.maps import MapName
from pgc.optimization.view_encoder import ViewEncoder
from pgc.runs.memory.ladder import MemoryPlan
from pgc.runs.memory.needs import step_tflop
from pgc.runs.memory.plan import DeviceMemory, MemoryPlanner
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import preset_settings, resolve, with_maps
from tests.benchmarks.guidance_cost import PublicModel, count_flops
from tests.benchmarks.live_bytes import counted
from tests.benchmarks.random_models import MODEL_SIZES, ModelSize, RandomGuidance, published_networks

__all__ = ["CARDS", "CountedModel", "choices", "count_model", "count_step"]

_META = torch.device("meta")
_CARD = torch.device("cuda", 0)
_HALF = torch.float16
_GB = 1e9
CARDS = ((8, "RTX 4060"), (12, "RTX 3060"), (16, "RTX 4080"), (24, "RTX 4090"), (80, "A100 80GB PCIe"))
"""GiB, and a card that has as much."""
_UNLIT: tuple[MapName, ...] = ("base_color",)
_TAKEN = 0.6
"""GB of a card that the desktop has."""
_SPECS = {"sd15": StableDiffusionSpec(), "sdxl": SDXLSpec()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedModel:
    """GB in half precision and TFLOP, of one view at the model's own size."""

    unet: float
    controlnet: float
    vae: float
    projections: float
    """Weights of the UNet's and the ControlNet's linear layers, which 8 bits halve."""
    encoder_held: float
    """What the encoder's gradient holds while the UNet is asked."""
    encoder_peak: float
    """The most that its two passes hold."""
    encoder_pass: float
    """The most of a pass without a gradient."""
    decoder: float
    row: float
    """The most of UNet or ControlNet for one row of their batch, with what one tells the other."""
    row_tflop: float
    """UNet and ControlNet."""
    encode_tflop: float
    backward_tflop: float


def count_model(name: PublicModel) -> CountedModel:
    """Counts one of the published models."""
    size = MODEL_SIZES[name]
    vae, unet, controlnet = published_networks(size, _META, _HALF, 0)
    held, peak = _encoder(vae, size)
    flops = count_flops(name)
    with torch.no_grad():
        picture, latents = _picture(size), _empty(1, 4, size.image_size // 8, size.image_size // 8)
        with counted() as forward:
            encode_pass: Any = vae.encode(picture)
            del encode_pass
        with counted() as decoding:
            decoded: Any = vae.decode(latents)
            del decoded
    linear = [layer for network in (unet, controlnet) for layer in network.modules() if isinstance(layer, nn.Linear)]
    return CountedModel(
        unet=_weights(unet),
        controlnet=_weights(controlnet),
        vae=_weights(vae),
        projections=sum(layer.weight.nbytes for layer in linear) / _GB,
        encoder_held=held,
        encoder_peak=peak,
        encoder_pass=forward.peak / _GB,
        decoder=decoding.peak / _GB,
        row=_denoiser(unet, controlnet, size),
        row_tflop=(flops.unet + flops.controlnet) / 1e12,
        encode_tflop=flops.vae_encode / 1e12,
        backward_tflop=flops.vae_backward / 1e12,
    )


def count_step(name: PublicModel, plan: MemoryPlan) -> float:
    """Counts the most GB that the prior holds in a step beside its weights, through the code that runs it."""
    size = MODEL_SIZES[name]
    config = LatentDiffusionConfig(image_size=size.image_size, memory=MemorySavings(rows=plan.rows))
    guidance = RandomGuidance(name, _META, _HALF, config)
    encoder = ViewEncoder(guidance=guidance, loss_scale=1.0, needs_gradient=True, view_by_view=plan.view_by_view)
    views, side = plan.views, size.image_size
    prompts = guidance.encode_prompt(["a prompt"] * views)
    depth = torch.empty(views, 1, side, side, device=_META)
    shown = Conditions(prompt=prompts, negative=prompts, depth=depth, mask=depth > 0)
    image = torch.empty(views, 3, side, side, device=_META)
    timestep = torch.empty(views, device=_META, dtype=torch.long)
    with counted() as live:
        encoded = encoder.encode(image)
        said = guidance.predict_noise(encoded.latents.detach(), timestep, shown)
        gradient = said.cond - said.uncond
        del said
        encoder.propagate(encoded, gradient)
        return live.peak / _GB


def choices() -> list[dict[str, Any]]:
    """Returns what the planner chooses on each card for each model, unlit and lit, with what it expects of it."""
    return [
        _choice(name, maps, gib, card)
        for name in _SPECS
        for maps in (_UNLIT, (*_UNLIT, "roughness", "metallic", "normal"))
        for gib, card in CARDS
    ]


def _choice(name: str, maps: tuple[MapName, ...], gib: int, card: str) -> dict[str, Any]:
    spec, settings = resolve(RunChoices(maps=maps), _SPECS[name])
    planner = MemoryPlanner(spec=spec, settings=settings, device=_CARD)
    total = gib * 1024**3
    number = planner.choose(DeviceMemory(available=total - int(_TAKEN * _GB), total=total))
    plan, optimize = planner.plans[number], settings.optimize
    seconds = planner.expected_seconds(number, card)
    assert seconds is not None
    sampled = optimize.share_done(optimize.warm_steps) * seconds
    _, gray = resolve(RunChoices(maps=maps, warm_start=False), _SPECS[name])
    return {
        "model": name,
        "lit": settings.material is not None,
        "texture": settings.texture.texture_size,
        "card_gib": gib,
        "card": card,
        "plan": asdict(plan),
        "as_asked": number == 0,
        "gb": planner.estimate_bytes(number) / _GB,
        "step_tflop": step_tflop(plan, spec),
        "steps": optimize.steps,
        "step_seconds": (seconds - sampled) / optimize.steps,
        "sampled_seconds": sampled if optimize.warm_start else None,
        "seconds": seconds,
        "gray_steps": gray.optimize.steps,
        "gray_seconds": replace(planner, settings=gray).expected_seconds(number, card),
    }


def plans() -> list[dict[str, Any]]:
    """Returns what every plan needs."""
    rows: list[dict[str, Any]] = []
    for name, spec in _SPECS.items():
        for maps in (("base_color",), ("base_color", "roughness", "metallic", "normal")):
            settings = with_maps(preset_settings("standard", spec), spec, maps)
            planner = MemoryPlanner(spec=spec, settings=settings, device=_CARD)
            for number, plan in enumerate(planner.plans):
                rows.append(
                    {
                        "model": name,
                        "lit": settings.material is not None,
                        "plan": asdict(plan),
                        "gb": planner.estimate_bytes(number) / _GB,
                        "step_tflop": step_tflop(plan, spec),
                    }
                )
    return rows


def _weights(network: nn.Module) -> float:
    return sum(parameter.nbytes for parameter in network.parameters()) / _GB


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, device=_META, dtype=_HALF)


def _picture(size: ModelSize) -> Tensor:
    return _empty(1, 3, size.image_size, size.image_size)


def _encoder(vae: Any, size: ModelSize) -> tuple[float, float]:
    """GB held between the two passes, GB at the most."""
    with counted() as live:
        picture = _picture(size).requires_grad_(True)
        moments = encode_lean(vae, picture)
        held = live.now
        torch.autograd.grad(moments, picture, torch.empty_like(moments))
        return held / _GB, live.peak / _GB


def _denoiser(unet: Any, controlnet: Any, size: ModelSize) -> float:
    """GB at the most for a row."""
    side = size.image_size // 8
    with torch.no_grad(), counted() as live:
        latents, timestep = _empty(1, 4, side, side), torch.empty(1, device=_META, dtype=torch.long)
        pooled = {"text_embeds": _empty(1, size.pooled), "time_ids": _empty(1, 6)} if size.pooled else None
        common: dict[str, Any] = {
            "encoder_hidden_states": _empty(1, size.tokens, int(size.unet["cross_attention_dim"])),
            "added_cond_kwargs": pooled,
            "return_dict": False,
        }
        down, middle = controlnet(latents, timestep, controlnet_cond=_picture(size), **common)
        unet(
            latents,
            timestep,
            **common,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        )
        return live.peak / _GB


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="result, JSON")
    given = parser.parse_args(arguments)
    names: tuple[PublicModel, ...] = ("sd15", "sd21", "sdxl")
    report = rounded(
        {
            "environment": environment(),
            "counted": {name: asdict(count_model(name)) for name in names},
            "plans": plans(),
            "choices": choices(),
        }
    )
    if given.out is not None:
        write_json(given.out, report)
    sys.stdout.write(f"{report}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
