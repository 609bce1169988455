# SPDX-License-Identifier: Apache-2.0
"""The encoder that holds less gives the very bits of the one that autograd differentiates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from pgc.guidance.diffusion.autoencoder import Autoencoder
from pgc.guidance.diffusion.loading import load_vae
from pgc.guidance.diffusion.memory.lean_encoder import encode_lean
from pgc.guidance.diffusion.pocket import pocket_weights

CPU = torch.device("cpu")


def small_vae(**changes: Any) -> AutoencoderKL:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "block_out_channels": (8, 16, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "layers_per_block": 2,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "sample_size": 32,
    }
    return AutoencoderKL(**(settings | changes)).eval().requires_grad_(False)


def built_in() -> AutoencoderKL:
    return load_vae(str(pocket_weights() / "vae"), dtype=torch.float32, device=CPU)


def picture(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3)) * 2.0 - 1.0


def both(vae: AutoencoderKL, image: Tensor) -> list[tuple[Tensor, Tensor, int]]:
    """Of autograd's way and the lean one: latents, gradient, and the bytes that are held for it."""
    found = []
    reference: Callable[[Tensor], Tensor] = lambda x: vae._encode(x)  # noqa: E731 - beside its partner
    lean: Callable[[Tensor], Tensor] = lambda x: encode_lean(vae, x)  # noqa: E731
    for encode in (reference, lean):
        held: dict[int, int] = {}

        def keep(tensor: Tensor, held: dict[int, int] = held) -> Tensor:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        leaf = image.detach().requires_grad_(True)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            moments = encode(leaf)
        push = torch.randn(moments.shape, generator=torch.Generator().manual_seed(4)).to(moments)
        (gradient,) = torch.autograd.grad(moments, leaf, push)
        weights = {parameter.untyped_storage().data_ptr() for parameter in vae.parameters()}
        held_bytes = sum(size for place, size in held.items() if place not in weights)
        found.append((moments.detach(), gradient, held_bytes))
    return found


CASES: dict[str, tuple[Callable[[], AutoencoderKL], Callable[[], Tensor]]] = {
    "built-in, channels last": (
        lambda: built_in().to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        lambda: picture(2, 3, 128, 128).contiguous(memory_format=torch.channels_last),
    ),
    "built-in, channels first": (built_in, lambda: picture(1, 3, 128, 128)),
    "odd sides": (small_vae, lambda: picture(1, 3, 37, 51)),
    "no attention": (lambda: small_vae(mid_block_add_attention=False), lambda: picture(1, 3, 32, 32)),
    "no quantising convolution": (lambda: small_vae(use_quant_conv=False), lambda: picture(2, 3, 32, 32)),
    "half precision": (
        lambda: small_vae().to(torch.bfloat16),
        lambda: picture(1, 3, 32, 32).to(torch.bfloat16),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_latents_and_gradient_have_the_very_bits_of_autograd(case: str) -> None:
    vae, image = (make() for make in CASES[case])
    (latents, gradient, held), (lean_latents, lean_gradient, lean_held) = both(vae, image)
    assert torch.equal(lean_latents, latents)
    assert torch.equal(lean_gradient, gradient)
    assert bool(gradient.abs().amax() > 0)
    assert lean_held < 0.5 * held


def test_the_published_sizes_hold_a_third() -> None:
    (_, _, held), (_, _, lean_held) = both(small_vae(block_out_channels=(8, 16, 32)), picture(1, 3, 64, 64))
    assert lean_held == pytest.approx(0.33 * held, rel=0.15)


def test_a_card_is_lean_and_the_cpu_is_not() -> None:
    vae = small_vae()
    assert not Autoencoder(vae, image_size=32, device=CPU).is_lean
    assert Autoencoder(vae, image_size=32, device=torch.device("cuda", 0)).is_lean


def test_an_autoencoder_that_is_lean_encodes_and_samples_as_one_that_is_not() -> None:
    vae, image = small_vae(scaling_factor=0.3), (picture(2, 3, 40, 40) + 1.0) / 2.0
    answers = []
    for is_lean in (False, True):
        autoencoder = Autoencoder(vae, image_size=32, device=CPU, is_lean=is_lean)
        leaf = image.clone().requires_grad_(True)
        latents = autoencoder.encode_image(leaf, generator=torch.Generator().manual_seed(5))
        answers.append((latents.detach(), *torch.autograd.grad(latents.square().sum(), leaf)))
        with torch.no_grad():
            assert torch.equal(autoencoder.encode_image(image), autoencoder.encode_image(image))
    assert torch.equal(answers[0][0], answers[1][0])
    assert torch.equal(answers[0][1], answers[1][1])


def test_an_autoencoder_that_is_lean_decodes_a_view_at_a_time() -> None:
    vae, latents, sizes = small_vae(), picture(3, 4, 8, 8), list[int]()
    whole = Autoencoder(vae, image_size=32, device=CPU).decode_latents(latents)
    vae.decoder.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    found = Autoencoder(vae, image_size=32, device=CPU, is_lean=True).decode_latents(latents)
    assert sizes == [1, 1, 1]
    assert torch.allclose(found, whole, atol=1e-6)
