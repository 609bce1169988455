# SPDX-License-Identifier: Apache-2.0
"""The encoder of an autoencoder, with a gradient that holds a third of the memory and computes the same bits.

autograd keeps, of each "normalise, activate, convolve" in a frozen encoder, the input of all three. The convolution's
is not needed, since its weights are not trained; what lies between the three is cheap to make again from the first.
So the input alone is kept, and no convolution is computed twice, as plain checkpointing would do (Chen et al.,
"Training Deep Nets with Sublinear Memory Cost", 2016; Gruslys et al., "Memory-Efficient Backpropagation", 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import Encoder
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["encode_lean"]

Activation = Callable[[Tensor], Tensor]


def encode_lean(vae: AutoencoderKL, signal: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k m n"]:
    """Returns mean and logarithm of the variance, as the first thing that `vae.encode` computes, in [-1, 1]."""
    encoder: Encoder = vae.encoder
    hidden: Tensor = encoder.conv_in(signal)
    for block in encoder.down_blocks:
        parts: Any = block
        for resnet in parts.resnets:
            hidden = _resnet(resnet, hidden)
        for downsampler in parts.downsamplers or ():
            hidden = _smaller(downsampler, hidden)
    middle: Any = encoder.mid_block
    hidden = _resnet(middle.resnets[0], hidden)
    for attention, resnet in zip(middle.attentions, middle.resnets[1:], strict=True):
        hidden = _resnet(resnet, hidden if attention is None else attention(hidden, temb=None))
    hidden = _Layers.apply(hidden, encoder.conv_norm_out, encoder.conv_act, encoder.conv_out)
    return hidden if vae.quant_conv is None else vae.quant_conv(hidden)


def _resnet(resnet: ResnetBlock2D, hidden: Tensor) -> Tensor:
    block: Any = resnet
    inner = _Layers.apply(hidden, block.norm1, block.nonlinearity, block.conv1)
    inner = _Layers.apply(inner, block.norm2, block.nonlinearity, block.conv2)
    # The first layer holds the same input, so that the shortcut's own hold costs nothing.
    skipped = hidden if block.conv_shortcut is None else block.conv_shortcut(hidden)
    return (skipped + inner) / block.output_scale_factor


def _smaller(downsampler: Downsample2D, hidden: Tensor) -> Tensor:
    return _Smaller.apply(hidden, downsampler)


class _Layers(torch.autograd.Function):
    """conv(activation(norm(x))) that keeps x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: nn.Module, activation: Activation, conv: nn.Conv2d) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x)
        ctx.layers = (norm, activation, conv)
        return conv(activation(norm(x)))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        (x,), (gradient,) = ctx.saved_tensors, grad_outputs
        norm, activation, conv = ctx.layers
        with torch.enable_grad():
            leaf = x.detach().requires_grad_(True)
            active = activation(norm(leaf))
        inner = _input_gradient(conv, active.detach(), gradient)
        return torch.autograd.grad(active, leaf, inner)[0], None, None, None


class _Smaller(torch.autograd.Function):
    """A strided convolution, of which nothing is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, downsampler: Downsample2D) -> Tensor:  # noqa: ANN401
        ctx.downsampler = downsampler
        ctx.shape = x.shape
        ctx.order = _order(x)
        return downsampler(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (gradient,) = grad_outputs
        batch, channels, height, width = ctx.shape
        beyond = 1 if ctx.downsampler.padding == 0 else 0
        # Its values are not looked at, as the weights get no gradient; its shape and order are.
        padded = torch.empty(
            (batch, channels, height + beyond, width + beyond),
            dtype=gradient.dtype,
            device=gradient.device,
            memory_format=ctx.order,
        )
        inner = _input_gradient(ctx.downsampler.conv, padded, gradient)
        return inner[..., :height, :width], None


def _order(tensor: Tensor) -> torch.memory_format:
    last = tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _input_gradient(conv: nn.Conv2d, x: Tensor, gradient: Tensor) -> Tensor:
    """What autograd calls for a convolution, asked for the gradient of its input alone."""
    called: Any = torch.ops.aten.convolution_backward
    padding = conv.padding if isinstance(conv.padding, tuple) else (0, 0)
    mask = [True, False, False]
    return called(
        gradient, x, conv.weight, None, conv.stride, padding, conv.dilation, False, [0, 0], conv.groups, mask
    )[0]
