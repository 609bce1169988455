# SPDX-License-Identifier: Apache-2.0
"""What an autoencoder is worth: reconstruction, how it bears noise and shifts, its encoder's gradient, its cost."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pgc.pocket.autoencoder.encoder_gradient import encoder_gradient_norms
from pgc.pocket.autoencoder.losses import Moved, encode_mean, moved_pair

__all__ = ["Cost", "cost_of", "measured"]

Images = Float[Tensor, "b c h w"]
_NOISE = 0.15
_SHIFT = Moved(shift=(0.25, 0.5))


@dataclass(frozen=True)
class Cost:
    """Of one picture. A multiplication and an addition count as two."""

    parameters: int
    encode_gflop: float
    decode_gflop: float


def _gflop(run: Callable[[Any], object], argument: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(argument)
    return counter.get_total_flops() / 1e9


def cost_of(vae: AutoencoderKL, size: int) -> Cost:
    """Counts what one picture of ``size`` pixels costs."""
    images = torch.zeros(1, 3, size, size)
    with torch.no_grad():
        latents = encode_mean(vae, images)
    return Cost(
        parameters=sum(value.numel() for value in vae.parameters()),
        encode_gflop=_gflop(vae.encode, images),
        decode_gflop=_gflop(vae.decode, latents),
    )


def _psnr(decoded: Images, images: Images) -> float:
    error = (decoded.clamp(-1.0, 1.0) - images).square().mean(dim=(1, 2, 3)) / 4.0
    return float((-10.0 * error.clamp_min(1e-10).log10()).mean())


def _detail(images: Images) -> Tensor:
    """Mean size of differences between neighbours: what blur takes away."""
    return (images[..., 1:] - images[..., :-1]).abs().mean()


def _decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    parts = [vae.decode(cast(torch.FloatTensor, one[None]), return_dict=False)[0] for one in latents]
    return torch.cat(parts)


def measured(vae: AutoencoderKL, images: Images, seed: int = 0) -> dict[str, Any]:
    """Computes figures over pictures in [-1, 1] that training did not see.

    They are in dB but for ``detail`` (a share) and ``gradient``.
    """
    with torch.no_grad():
        latents = torch.cat([encode_mean(vae, image[None]) for image in images])
        decoded = _decode(vae, latents)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
        noisy = _decode(vae, latents + _NOISE * latents.std() * noise)
        shifted_latents, shifted = moved_pair(latents, images, _SHIFT)
        moved = _decode(vae, shifted_latents)
    norms = encoder_gradient_norms(lambda x: encode_mean(vae, x), images, seed, draws=2)
    return {
        "psnr": _psnr(decoded, images),
        "psnr_noisy": _psnr(noisy, images),
        "psnr_shifted": _psnr(moved, shifted),
        "detail": float(_detail(decoded) / _detail(images)),
        "gradient": asdict(norms),
    }
