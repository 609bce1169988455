# SPDX-License-Identifier: Apache-2.0
"""The built-in model's frozen networks on the CPU: as they run, in other layouts and precisions, and by engines.

    pip install openvino onnxruntime onnx
    python -m tests.benchmarks.card.frozen_networks --out FILE [--rounds 20] [--quick]

The question: is one of them at least 1.3 times as fast? All ways take turns in one process, on the same inputs, with as
many threads; a ratio is that of neighbours in time, so that other work on the machine meets both. One thread is timed
in processor seconds, more in wall seconds. `difference` is the root mean square of what comes out against float32's,
over float32's own. Engines give no gradient: the encoder, through which a step goes back, has the ways of torch alone.
Engines that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import importlib.util
import io
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pgc.evaluation.cache import environment, rounded, write_json
from pgc.guidance.diffusion.loading import load_components, load_controlnet
from pgc.guidance.diffusion.pocket import pocket_weights

__all__ = ["AS_IT_RUNS", "NEEDED", "Case", "cases", "measured", "summary"]

AS_IT_RUNS = "float32, channels last"
NEEDED = 1.3
_ENGINES = ("openvino", "onnxruntime")
_VIEWS = 4
Run = Callable[[], Tensor]


class Denoiser(nn.Module):
    """ControlNet and UNet as a step asks them: what the ControlNet makes of its picture is there already."""

    def __init__(self, unet: nn.Module, controlnet: nn.Module) -> None:
        super().__init__()
        self.unet, self.controlnet = unet, controlnet
        controlnet.add_module("controlnet_cond_embedding", nn.Identity())

    def forward(self, noisy: Tensor, timestep: Tensor, words: Tensor, picture: Tensor) -> Tensor:
        """Returns what the UNet predicts."""
        down, middle = self.controlnet(
            noisy, timestep, encoder_hidden_states=words, controlnet_cond=picture, return_dict=False
        )
        found: Tensor = self.unet(
            noisy,
            timestep,
            encoder_hidden_states=words,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        return found


class Decoder(nn.Module):
    """The autoencoder's second half."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.post, self.decoder = vae.post_quant_conv, vae.decoder

    def forward(self, latents: Float[Tensor, "b k m n"]) -> Tensor:
        """Returns pictures."""
        return self.decoder(self.post(latents))


class Encoder(nn.Module):
    """The first half, and the way back to its pictures: what comes out is their gradient."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.encoder, self.quant = vae.encoder, vae.quant_conv

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Tensor:
        """Returns the gradient of the latents' sum of squares to the pictures."""
        with torch.enable_grad():
            leaf = pictures.detach().requires_grad_(True)
            latents = self.quant(self.encoder(leaf))
            return torch.autograd.grad(latents.square().sum(), leaf)[0]


Case = tuple[nn.Module, tuple[Tensor, ...], bool]
"""A network, what it is given, and whether an engine may have it."""


def cases(views: int = _VIEWS) -> dict[str, Case]:
    """Returns the networks of the built-in model with inputs of a step; `views` counts both halves of the guidance."""
    cpu, weights = torch.device("cpu"), pocket_weights()
    parts = load_components(str(weights), xl=False, dtype=torch.float32, device=cpu)
    control = load_controlnet(str(weights / "controlnet"), dtype=torch.float32, device=cpu)
    draw = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    side, channels = int(parts.unet.config["sample_size"]), int(parts.unet.config["in_channels"])
    picture = noise(views, int(control.config["conditioning_channels"]), 8 * side, 8 * side).sigmoid()
    with torch.no_grad():
        embedded = control.get_submodule("controlnet_cond_embedding")(picture)
    given = (
        noise(views, channels, side, side),
        torch.randint(20, 980, (views,), generator=draw),
        noise(views, 77, int(parts.unet.config["cross_attention_dim"])),
        embedded,
    )
    return {
        "UNet and ControlNet": (Denoiser(parts.unet, control), given, True),
        "decoder": (Decoder(parts.vae), (noise(views // 2, channels, side, side),), True),
        "encoder and back": (Encoder(parts.vae), (noise(views // 2, 3, 8 * side, 8 * side),), False),
    }


def _of_torch(case: Case, dtype: torch.dtype, memory_format: torch.memory_format) -> Run:
    network: Any = copy.deepcopy(case[0]).eval()
    network = network.to(dtype=dtype).to(memory_format=memory_format)
    given = tuple(one.to(dtype) if one.is_floating_point() else one for one in case[1])

    def run() -> Tensor:
        with torch.no_grad():
            return network(*given).float()

    return run


def _of_openvino(case: Case, precision: str) -> Run:
    openvino: Any = importlib.import_module("openvino")
    model = openvino.convert_model(case[0], example_input=case[1])
    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.compile_model(model, "CPU", hints)
    given = [one.numpy() for one in case[1]]
    return lambda: torch.from_numpy(compiled(given)[0])


def _of_onnxruntime(case: Case) -> Run:
    onnxruntime: Any = importlib.import_module("onnxruntime")
    file = io.BytesIO()
    torch.onnx.export(case[0], case[1], file, dynamo=False, opset_version=18)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    given = {one.name: value.numpy() for one, value in zip(session.get_inputs(), case[1], strict=True)}
    return lambda: torch.from_numpy(session.run(None, given)[0])


def _ways(case: Case, engines: Sequence[str]) -> dict[str, Run]:
    last, plain = torch.channels_last, torch.contiguous_format
    ways = {
        AS_IT_RUNS: _of_torch(case, torch.float32, last),
        "float32, channels first": _of_torch(case, torch.float32, plain),
        "bfloat16, channels last": _of_torch(case, torch.bfloat16, last),
        "bfloat16, channels first": _of_torch(case, torch.bfloat16, plain),
    }
    if case[2] and "openvino" in engines:
        ways |= {"OpenVINO, float32": _of_openvino(case, "f32"), "OpenVINO, bfloat16": _of_openvino(case, "bf16")}
    if case[2] and "onnxruntime" in engines:
        ways["ONNX Runtime, float32"] = _of_onnxruntime(case)
    return ways


def measured(case: Case, rounds: int, engines: Sequence[str]) -> dict[str, Any]:
    """Returns seconds of each way, round by round, and how far its answer is from float32's."""
    ways = _ways(case, engines)
    # One thread is timed by its processor's time, which other work on the machine hardly touches.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    first = {name: run() for name, run in ways.items()}
    truth = first[AS_IT_RUNS]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else reversed(list(ways)):
            begun = clock()
            ways[name]()
            seconds[name].append(clock() - begun)
    far = {
        name: float((found - truth).square().mean().sqrt() / truth.square().mean().sqrt())
        for name, found in first.items()
    }
    return {"seconds": seconds, "difference": far}


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns, for each way, its median, the median of the ratios round by round with their middle half, and whether
    it is fast enough."""
    base, rows = found["seconds"][AS_IT_RUNS], dict[str, Any]()
    for name, taken in found["seconds"].items():
        ratios = sorted(before / after for before, after in zip(base, taken, strict=True))
        quarter = len(ratios) // 4
        rows[name] = {
            "median_s": median(taken),
            "times_as_fast": median(ratios),
            "middle_half": [ratios[quarter], ratios[-1 - quarter]],
            "difference": found["difference"][name],
            "fast_enough": median(ratios) >= NEEDED,
        }
    return rows


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--quick", action="store_true", help="three rounds on one thread")
    given = parser.parse_args()
    engines = [name for name in _ENGINES if importlib.util.find_spec(name) is not None]
    rounds, threads = (3, [1]) if given.quick else (given.rounds, given.threads)
    networks, results = cases(), dict[str, Any]()
    for count in threads:
        torch.set_num_threads(count)
        results[str(count)] = {name: summary(measured(case, rounds, engines)) for name, case in networks.items()}
    missing = [name for name in _ENGINES if name not in engines]
    found = {"environment": environment(), "rounds": rounds, "views": _VIEWS, "not_installed": missing}
    write_json(given.out, rounded({**found, "threads": results}, 4))


if __name__ == "__main__":
    main()
