# SPDX-License-Identifier: Apache-2.0
"""What priors cost, as they were counted on torch's meta device; `tests/benchmarks/memory.py` counts, and a test holds
this table to it. GB (10⁹ bytes) and TFLOP, in half precision, of one view at the model's own size."""

from __future__ import annotations

from dataclasses import dataclass

from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import (
    FluxSpec,
    OracleSpec,
    PocketSpec,
    SD3Spec,
    SDXLSpec,
    StableDiffusionSpec,
    ZImageSpec,
)

__all__ = ["COSTS", "DiffusionSpec", "ModelCost", "TeacherSpec", "cost_of", "readers_of", "streamed_gb"]

DiffusionSpec = PocketSpec | StableDiffusionSpec | SDXLSpec | SD3Spec | FluxSpec | ZImageSpec | Zero123Spec
TeacherSpec = DiffusionSpec | OracleSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """One model."""

    image_size: int
    network: float
    """Weights of the UNet or transformer."""
    controlnet: float = 0.0
    """Weights of one ControlNet."""
    vae: float = 0.17
    encoder_held: float
    """What the encoder's gradient holds while the network is asked."""
    encoder_peak: float
    """The most that the encoder's two passes hold."""
    decoder: float
    readers: float
    """Weights of the text encoders, which wait in main memory."""
    adapter: float = 0.0
    """Weights that the larger kind of IP-Adapter (Plus) adds to the network."""
    picture_reader: float = 0.0
    """Weights of the largest image encoder of a published IP-Adapter, which waits beside the text encoders."""
    row: float
    """The most that the network holds for a row of its batch, with what a ControlNet tells it."""
    row_tflop: float | None = None
    """Network and ControlNet; None: not counted."""
    encode_tflop: float = 0.0
    backward_tflop: float = 0.0


_AUTOENCODER = {"encoder_held": 2.02, "encoder_peak": 2.42, "decoder": 1.61}
"""At 1024 pixels. That of the flow models is the same network with more channels in its latents."""
COSTS: dict[str, ModelCost] = {
    "sd15": ModelCost(
        image_size=512,
        network=1.72,
        controlnet=0.72,
        encoder_held=0.505,
        encoder_peak=0.606,
        decoder=0.403,
        readers=0.25,
        adapter=0.10,
        picture_reader=1.26,
        row=0.087,
        row_tflop=1.087,
        encode_tflop=1.117,
        backward_tflop=1.151,
    ),
    "sdxl": ModelCost(
        image_size=1024,
        network=5.13,
        controlnet=2.50,
        **_AUTOENCODER,
        readers=1.64,
        adapter=0.85,
        picture_reader=3.69,
        row=0.226,
        row_tflop=9.78,
        encode_tflop=4.88,
        backward_tflop=5.43,
    ),
    # Stable Diffusion 1's network at a quarter of its pixels, not counted by itself; CLIP's picture encoder (0.61 GB)
    # stays beside it.
    "zero123": ModelCost(
        image_size=256,
        network=1.72 + 0.61,
        encoder_held=0.126,
        encoder_peak=0.152,
        decoder=0.101,
        readers=0.0,
        row=0.022,
    ),
    # What a row of a flow model takes is a guess from its hidden sizes, not counted.
    "sd3": ModelCost(image_size=1024, network=4.9, **_AUTOENCODER, readers=11.1, row=0.4),
    "flux": ModelCost(image_size=1024, network=23.8, **_AUTOENCODER, readers=9.8, row=0.6),
    "z-image": ModelCost(image_size=1024, network=12.3, **_AUTOENCODER, readers=8.0, row=0.6),
    "pocket": ModelCost(
        image_size=128, network=0.03, controlnet=0.01, vae=0.01, encoder_held=0.02, encoder_peak=0.03, decoder=0.02,
        readers=0.01, row=0.02,
    ),
}  # fmt: skip


def cost_of(spec: DiffusionSpec) -> ModelCost:
    """Returns what a prior costs."""
    match spec:
        case SD3Spec():
            return COSTS["sd3"]
        case FluxSpec():
            return COSTS["flux"]
        case ZImageSpec():
            return COSTS["z-image"]
        case SDXLSpec():
            return COSTS["sdxl"]
        case StableDiffusionSpec():
            return COSTS["sd15"]
        case PocketSpec():
            return COSTS["pocket"]
        case Zero123Spec():
            return COSTS["zero123"]


def readers_of(spec: DiffusionSpec) -> float:
    """Returns GB of what reads prompts and a reference picture, once a run, in half precision."""
    match spec:
        case StableDiffusionSpec() | SDXLSpec() if spec.added.ip_adapter is not None:
            return cost_of(spec).readers + cost_of(spec).picture_reader
        case _:
            return cost_of(spec).readers


def streamed_gb(spec: DiffusionSpec) -> float:
    """Returns GB of the weights that a step asks, autoencoder aside, in half precision: UNet, an IP-Adapter in
    it, and ControlNets."""
    cost = cost_of(spec)
    match spec:
        case StableDiffusionSpec() | SDXLSpec():
            own = 0 if spec.controlnet is None else 1
            seen = 0.0 if spec.added.ip_adapter is None else cost.adapter
            return cost.network + cost.controlnet * (own + len(spec.controls)) + seen
        case _:
            return cost.network + cost.controlnet
