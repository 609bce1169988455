# SPDX-License-Identifier: Apache-2.0
"""What both training stages share: resumable state in safetensors, weight averaging, learning rate."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pgc.whole_files import write_tensors


@dataclass(frozen=True)
class OptimizerConfig:
    """Warm-up, then a cosine fall to ``final_share`` of the peak.

    Weights of two or more dimensions take orthogonalised momentum steps at ``matrix_rate``, the
    rest (biases, norms, embeddings) AdamW steps at ``learning_rate``.
    """

    learning_rate: float = 1e-3
    matrix_rate: float = 3e-3
    weight_decay: float = 1e-4
    warmup: int = 100
    final_share: float = 0.03
    clip_norm: float = 1.0
    ema_decay: float = 0.998


def rate_share(config: OptimizerConfig, step: int, total: int) -> float:
    """Returns the share of the peak learning rate at ``step`` of ``total``."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, total - config.warmup))
    return config.final_share + (1.0 - config.final_share) * 0.5 * (1.0 + math.cos(math.pi * progress))


def orthogonalise(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Computes the nearly orthogonal factor of ``matrix`` [R, C] by a quintic Newton-Schulz iteration.

    Its coefficients push all singular values into about [0.7, 1.2], which is all that an update
    direction needs, in fewer rounds than exact convergence takes. bfloat16 suffices for the same reason.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return (x.T if tall else x).to(matrix.dtype)


class OrthogonalMomentum(torch.optim.Optimizer):
    """Nesterov momentum whose step is orthogonalised (Muon, Jordan et al. 2024), scaled to Adam's size.

    On these small convolutional networks it needs about half the steps of AdamW.
    """

    def __init__(self, params: Iterable[Tensor], rate: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": rate, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Takes one step on every parameter that has a gradient."""
        for group in self.param_groups:
            for value in group["params"]:
                if value.grad is None:
                    continue
                memory = self.state[value].setdefault("momentum", torch.zeros_like(value))
                memory.lerp_(value.grad, 1.0 - group["momentum"])
                direction = value.grad.lerp(memory, group["momentum"]).reshape(len(value), -1)
                scale = 0.2 * math.sqrt(max(direction.shape))
                value.mul_(1.0 - group["lr"] * group["weight_decay"])
                value.add_(orthogonalise(direction).view_as(value), alpha=-group["lr"] * scale)


_MOMENTS = ("exp_avg", "exp_avg_sq", "momentum")


def _is_matrix(name: str, value: Tensor) -> bool:
    return value.ndim >= 2 and "embeddings." not in name


class TrainState:
    """A module, its optimisers and its moving average, saved and restored together."""

    def __init__(self, module: nn.Module, config: OptimizerConfig) -> None:
        self.module = module
        self.config = config
        self.step = 0
        self.parameters = {name: value for name, value in module.named_parameters() if value.requires_grad}
        self.average = {name: value.detach().clone() for name, value in self.parameters.items()}
        matrices = [value for name, value in self.parameters.items() if _is_matrix(name, value)]
        others = [value for name, value in self.parameters.items() if not _is_matrix(name, value)]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "adam": torch.optim.AdamW(others, config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0),
            "matrix": OrthogonalMomentum(matrices, config.matrix_rate, config.weight_decay),
        }

    def update(self, loss: Tensor, total_steps: int) -> float:
        """Takes one optimiser step on ``loss``; returns the gradient's norm before clipping."""
        if not math.isfinite(float(loss.detach())):
            raise FloatingPointError(
                f"The loss at step {self.step} is {float(loss.detach())}; the last checkpoint is sound."
            )
        share = rate_share(self.config, self.step, total_steps)
        peaks = {"adam": self.config.learning_rate, "matrix": self.config.matrix_rate}
        self.module.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.config.clip_norm)
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = share * peaks[name]
            optimizer.step()
        self.step += 1
        # A young average would remember the random start; it opens up with the step number.
        decay = min(self.config.ema_decay, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name, value in self.parameters.items():
                self.average[name].lerp_(value, 1.0 - decay)
        return float(norm)

    def save(self, path: Path, notes: dict[str, list[float]]) -> None:
        """Writes weights, average, optimiser moments, step and ``notes`` (curves) to one file, atomically."""
        tensors = {f"weight.{name}": value.detach() for name, value in self.parameters.items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for optimizer in self.optimizers.values():
            for name, value in self.parameters.items():
                moments = optimizer.state.get(value, {})
                tensors |= {f"{key}.{name}": moments[key] for key in _MOMENTS if key in moments}
        metadata = {"step": str(self.step), "notes": json.dumps(notes)}
        write_tensors(path, {key: value.contiguous() for key, value in tensors.items()}, metadata=metadata)

    def load(self, path: Path) -> dict[str, list[float]]:
        """Restores what ``save`` wrote; returns the notes."""
        metadata = read_metadata(path)
        tensors = load_file(path)
        self.step = int(metadata["step"])
        with torch.no_grad():
            for name, value in self.parameters.items():
                value.copy_(tensors[f"weight.{name}"])
                self.average[name].copy_(tensors[f"average.{name}"])
                kept = {key: tensors[f"{key}.{name}"] for key in _MOMENTS if f"{key}.{name}" in tensors}
                moments = {key: torch.empty_like(value).copy_(moment) for key, moment in kept.items()}
                optimizer = self.optimizers["matrix" if _is_matrix(name, value) else "adam"]
                if moments:
                    clock = {} if "momentum" in moments else {"step": torch.tensor(float(self.step))}
                    optimizer.state[value] = moments | clock
        notes: dict[str, list[float]] = json.loads(metadata["notes"])
        return notes


def read_metadata(path: Path) -> dict[str, str]:
    """Reads the metadata of a safetensors file."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as opened:
        metadata: dict[str, str] = opened.metadata()
    return metadata


def use_channels_last(module: nn.Module) -> None:
    """Stores convolution weights channels last, which CPUs convolve faster."""
    for value in module.parameters():
        if value.ndim == 4:
            value.data = value.data.contiguous(memory_format=torch.channels_last)


def load_average(path: Path, module: nn.Module) -> None:
    """Puts the averaged weights of a checkpoint into ``module``."""
    tensors = load_file(path)
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(tensors[f"average.{name}"])
