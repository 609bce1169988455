# SPDX-License-Identifier: Apache-2.0
"""A network that a loss trains beside the prior: the prior's own one with low-rank adapters.

Hu et al., "LoRA", ICLR 2022: every projection of attention gets W + B A with A and B of a small rank. Wang et al.,
"ProlificDreamer", NeurIPS 2023, tell it the camera too, which is added to the embedding of the timestep. Weights are
shared with the prior: outside of `predict_noise` the adapters are off, and the prior answers as if there were none.

Adapters are hooks, and their weights have the names that PEFT gives them. PEFT itself would put wrappers in the place
of the prior's modules, which other runs use as well, and be one more thing to install for two small matrices a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pgc.errors import CheckpointError
from pgc.guidance.base import Conditions

__all__ = ["LoraDenoiser"]

_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
_CAMERA = 16
"""Numbers of a camera: its 4 x 4 matrix, row by row."""

Denoise = Callable[[Tensor, Tensor, Conditions], Tensor]
"""ε̂ under the prompt alone, on a graph."""


class LoraDenoiser:
    """`pgc.guidance.base.TrainableDenoiser` in the weights of a UNet or transformer; one at a time."""

    def __init__(
        self,
        network: nn.Module,
        denoise: Denoise,
        *,
        rank: int,
        seed: int,
        device: torch.device,
        time_embedding: str = "time_embedding",
    ) -> None:
        """`device` is where the network works, whose weights may wait elsewhere; `time_embedding` names its part that
        embeds the timestep."""
        self._denoise = denoise
        self._on = False
        self._camera: Tensor | None = None
        self._named: dict[str, nn.Parameter] = {}
        self._hooks: list[Any] = []
        generator = torch.Generator().manual_seed(seed)
        for name, module in network.named_modules():
            if name.endswith(_TARGETS) and isinstance(module, nn.Linear):
                down = self._add(f"{name}.lora_A.weight", _uniform((rank, module.in_features), generator), device)
                up = self._add(f"{name}.lora_B.weight", torch.zeros(module.out_features, rank), device)
                self._hooks.append(module.register_forward_hook(partial(self._adapt, down, up)))
        embedding = network.get_submodule(time_embedding)
        last = [layer for layer in embedding.modules() if isinstance(layer, nn.Linear)][-1]
        width = last.out_features
        self._camera_layers = (
            self._add("camera.0.weight", _uniform((width, _CAMERA), generator), device),
            self._add("camera.0.bias", torch.zeros(width), device),
            self._add("camera.2.weight", torch.zeros(width, width), device),
            self._add("camera.2.bias", torch.zeros(width), device),
        )
        self._hooks.append(embedding.register_forward_hook(self._tell_camera))

    def parameters(self) -> list[nn.Parameter]:
        """Returns what is trained, in a fixed order."""
        return list(self._named.values())

    def predict_noise(
        self,
        noisy_latents: Float[Tensor, "b k m n"],
        timestep: Int[Tensor, " b"],
        conditions: Conditions,
        camera: Float[Tensor, "b 16"] | None,
    ) -> Float[Tensor, "b k m n"]:
        """Predicts as `TrainableDenoiser.predict_noise` says."""
        with self._switched_on(camera):
            return self._denoise(noisy_latents, timestep, conditions)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the trained weights by name."""
        return {name: value.detach() for name, value in self._named.items()}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes trained weights back.

        Raises:
            CheckpointError: they are of another network.
        """
        shapes = {name: value.shape for name, value in self._named.items()}
        if {name: value.shape for name, value in tensors.items()} != shapes:
            raise CheckpointError(
                f"Got {len(tensors)} adapter weights of another network; expected the {len(shapes)} of this prior. "
                "Resume with the prior and the settings in the run's run.json."
            )
        with torch.no_grad():
            for name, value in self._named.items():
                value.copy_(tensors[name])

    def remove(self) -> None:
        """Takes the adapters out again: a prior that is kept in memory serves one run after another."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _add(self, name: str, value: Tensor, place: torch.device) -> nn.Parameter:
        self._named[name] = nn.Parameter(value.to(place))
        return self._named[name]

    @contextmanager
    def _switched_on(self, camera: Tensor | None) -> Iterator[None]:
        self._on, self._camera = True, camera
        try:
            yield
        finally:
            self._on, self._camera = False, None

    def _adapt(self, down: Tensor, up: Tensor, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """In float32, whatever the precision of the prior: steps of 1e-4 vanish in half of it."""
        if not self._on:
            return output
        return output + F.linear(F.linear(inputs[0].float(), down), up).to(output.dtype)

    def _tell_camera(self, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        if self._camera is None:
            return output
        first, first_bias, second, second_bias = self._camera_layers
        hidden = F.silu(F.linear(self._camera.to(output.device, torch.float32), first, first_bias))
        return output + F.linear(hidden, second, second_bias).to(output.dtype)


def _uniform(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Where a layer starts whose partner is zero, so that the first answer is the prior's own. Drawn on the CPU."""
    return (torch.rand(shape, generator=generator) * 2.0 - 1.0) / math.sqrt(shape[1])
