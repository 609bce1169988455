# SPDX-License-Identifier: Apache-2.0
"""An encoder's gradient by the best linear map from colours to latents, instead of by the encoder's own graph.

Pan et al., ICLR 2024, §4.5 and appendix: each latent pixel is nearly a linear function of the mean colour that it
stands for, so that ∂z/∂x ≈ A. It is smooth and costs nothing, and blurs: what the encoder knows of patterns is not in
it. The appendix's labels are swapped: its A0 (4 x 3) and b0 take colours to latents, its A1 (3 x 4) and b1 latents to
colours; the names here say which. As in the official code the gradient is not divided by the pixels that share a
latent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from pgc.errors import ConfigError

__all__ = ["SDXL_COLORS_TO_LATENTS", "SDXL_LATENTS_TO_COLORS", "LinearMap", "fit_linear_encoder", "linear_gradient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearMap:
    """y = A x + b, pixel by pixel."""

    matrix: tuple[tuple[float, ...], ...]
    """A, a row an output channel."""
    bias: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.matrix or len({len(row) for row in self.matrix}) != 1 or len(self.matrix) != len(self.bias):
            raise ConfigError(
                f"Got a matrix of {len(self.matrix)} rows with {len(self.bias)} biases; expected rows of one length, "
                "one bias each."
            )

    def __call__(self, values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Returns A x + b at every pixel."""
        matrix, bias = torch.tensor(self.matrix).to(values), torch.tensor(self.bias).to(values)
        return torch.einsum("kc,bchw->bkhw", matrix, values) + bias[:, None, None]


SDXL_COLORS_TO_LATENTS = LinearMap(
    matrix=(
        (-0.5537, 1.8844, 2.1757),
        (-3.4900, 1.7472, 1.6805),
        (0.6894, 3.2756, -3.4658),
        (-2.4909, 1.3309, -0.1115),
    ),
    bias=(-1.6590, 0.3810, -0.3939, 0.7896),
)
"""The paper's appendix, of colours in [0, 1] and SDXL's scaled latents."""
SDXL_LATENTS_TO_COLORS = LinearMap(
    matrix=(
        (0.1956, -0.0910, 0.0462, -0.1521),
        (0.2125, -0.0206, 0.0401, -0.1215),
        (0.2208, 0.0047, -0.0028, -0.1083),
    ),
    bias=(0.5573, 0.5105, 0.4635),
)
"""The other way; not the inverse of the one above, since each was fitted by itself."""


def fit_linear_encoder(
    images: Float[Tensor, "n 3 h w"], latents: Float[Tensor, "n k m o"], ridge: float = 1e-3
) -> LinearMap:
    """Fits colours, averaged over the pixels of a latent, to latents by ridge regression; the bias is free.

    Args:
        images: sRGB in [0, 1]; a whole multiple of the latents' size.
        latents: scaled, as `Guidance.encode_image` gives them for these images.
        ridge: λ on the sum of squares of A, for values that are summed over pixels (the official script's 1e-3).

    Raises:
        ConfigError: the sizes do not fit each other.
    """
    stride = images.shape[-1] // latents.shape[-1]
    if images.shape[-2:] != (latents.shape[-2] * stride, latents.shape[-1] * stride):
        raise ConfigError(
            f"Images of {tuple(images.shape[-2:])} pixels are no whole multiple of latents of "
            f"{tuple(latents.shape[-2:])}; resize them first."
        )
    colors = torch.nn.functional.avg_pool2d(images.double(), stride).permute(0, 2, 3, 1).reshape(-1, 3)
    wanted = latents.detach().double().permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    color_mean, latent_mean = colors.mean(0), wanted.mean(0)
    x, y = colors - color_mean, wanted - latent_mean
    matrix = torch.linalg.solve(x.T @ x + ridge * torch.eye(3, dtype=torch.float64), x.T @ y).T
    bias = latent_mean - matrix @ color_mean
    return LinearMap(matrix=tuple(tuple(row) for row in matrix.tolist()), bias=tuple(bias.tolist()))


def linear_gradient(
    latent_gradient: Float[Tensor, "b k m n"], encoder: LinearMap, size: tuple[int, int]
) -> Float[Tensor, "b 3 h w"]:
    """Computes Aᵀ·∂L/∂z, bilinearly enlarged to the picture's size: no graph of the encoder is needed."""
    matrix = torch.tensor(encoder.matrix).to(latent_gradient)
    small = torch.einsum("kc,bkmn->bcmn", matrix, latent_gradient)
    return interpolate(small, size=size, mode="bilinear", align_corners=False)
