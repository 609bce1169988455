# SPDX-License-Identifier: Apache-2.0
"""The parts of the loss: what they are on networks that one can compute by hand."""

import pytest
import torch
from torch import Tensor

from pgc.pocket.autoencoder.encoder_gradient import encoder_gradient_norms, norms_of, pixel_norms
from pgc.pocket.autoencoder.losses import LossConfig, Moved, autoencoder_loss, draw_moved, gradient_penalty, moved_pair
from pgc.pocket.autoencoder.measure import cost_of, measured
from pgc.pocket.autoencoder.network import DEEP, SHALLOW, AutoencoderShape, build_autoencoder
from pgc.pocket.autoencoder.train import AutoencoderConfig

TINY = AutoencoderShape((8, 8, 16), 4)


def pictures(count: int = 2, size: int = 32) -> Tensor:
    return torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(1)) * 2.0 - 1.0


def cell_means(x: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(x, 4)


def test_a_linear_encoder_has_no_tail() -> None:
    norms = encoder_gradient_norms(cell_means, pictures(2, 64), 0, draws=8)
    # All pixels of a cell get the same, and cells differ by the draw of three normal numbers alone.
    assert norms.tail == pytest.approx(1.0 + 2.0 / 3.0, abs=0.15)
    assert norms.largest < 5.0


def test_the_scale_of_latents_is_of_no_account() -> None:
    one = encoder_gradient_norms(cell_means, pictures(), 0)
    other = encoder_gradient_norms(lambda x: 50.0 * cell_means(x), pictures(), 0)
    assert other.mean_square == pytest.approx(one.mean_square, rel=1e-4)


def test_a_spike_is_seen() -> None:
    def spiky(x: Tensor) -> Tensor:
        weight = torch.ones(32, 32)
        weight[5, 7] = 40.0
        return cell_means(x * weight)

    spike, plain = (encoder_gradient_norms(encode, pictures(), 0) for encode in (spiky, cell_means))
    assert spike.tail > 20.0 * plain.tail
    assert spike.largest > 10.0 * plain.largest


def test_figures_by_hand() -> None:
    norms = torch.ones(1, 10, 100)
    norms[0, 0, 0] = 10.0
    figures = norms_of(norms)
    assert figures.median == 1.0
    assert figures.largest == 10.0
    assert figures.p999 == 10.0
    assert figures.p99 == 1.0
    assert figures.tail == pytest.approx((999 + 1e4) / 1000 / ((999 + 100) / 1000) ** 2)


def test_pixel_norms_can_be_trained_through() -> None:
    gain = torch.tensor(2.0, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    norms = pixel_norms(lambda x: torch.tanh(gain * cell_means(x)), pictures(), generator, differentiable=True)
    norms.square().mean().backward()
    assert gain.grad is not None
    assert float(gain.grad) != 0.0


@pytest.mark.parametrize("moved", [Moved(shift=(0.25, 0.0)), Moved(shift=(-0.5, 0.5)), Moved(scale=0.5)])
def test_latents_and_picture_move_alike(moved: Moved) -> None:
    """Of a smooth picture whose latents are its cell means, both changes agree; unmoved latents do not."""
    ticks = torch.linspace(0.0, 3.0, 64)
    smooth = (torch.sin(ticks)[:, None] * torch.cos(ticks)[None]).expand(1, 3, 64, 64)
    latents, image = moved_pair(cell_means(smooth), smooth, moved)
    again = cell_means(image)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    assert torch.allclose(latents[inner], again[inner], atol=2e-2)
    if moved.scale == 1.0:
        assert not torch.allclose(cell_means(smooth)[inner], again[inner], atol=2e-2)


def test_moves_are_within_half_a_cell() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = [draw_moved(generator) for _ in range(100)]
    assert all(max(map(abs, moved.shift)) <= 0.5 for moved in drawn)
    assert {moved.scale for moved in drawn} == {0.5, 0.75, 1.0}


def test_the_loss_depends_on_the_generator_alone() -> None:
    vae = build_autoencoder(TINY)
    config = LossConfig()
    losses = [autoencoder_loss(vae, pictures(), config, torch.Generator().manual_seed(seed))[0] for seed in (3, 3, 4)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_the_error_is_told_of_unchanged_pictures_only() -> None:
    vae = build_autoencoder(TINY)
    generator = torch.Generator().manual_seed(0)
    assert autoencoder_loss(vae, pictures(), LossConfig(noisy=0.0, moved=0.0), generator)[1] is not None
    assert autoencoder_loss(vae, pictures(), LossConfig(noisy=1.0, moved=0.0), generator)[1] is None
    assert autoencoder_loss(vae, pictures(), LossConfig(noisy=0.0, moved=1.0), generator)[1] is None


@pytest.mark.slow
def test_the_penalty_lowers_the_tail() -> None:
    torch.manual_seed(0)
    vae = build_autoencoder(TINY)
    config = LossConfig(tail=1.0, mean_square=0.0)
    optimizer = torch.optim.Adam(vae.encoder.parameters(), 3e-3)
    values = []
    for _ in range(12):
        penalty = gradient_penalty(vae, pictures(), config, torch.Generator().manual_seed(1))
        optimizer.zero_grad()
        penalty.loss.backward()
        optimizer.step()
        values.append(penalty.tail)
    assert values[-1] < 0.8 * values[0]


def test_candidates_are_what_they_say() -> None:
    assert (DEEP.reduction, SHALLOW.reduction) == (16, 8)
    cost = cost_of(build_autoencoder(TINY), 32)
    assert cost.parameters == sum(value.numel() for value in build_autoencoder(TINY).parameters())
    assert 0.0 < cost.encode_gflop < cost.decode_gflop


def test_measures_of_an_untrained_one_are_poor() -> None:
    figures = measured(build_autoencoder(TINY).eval(), pictures())
    assert 0.0 < figures["psnr"] < 20.0
    assert set(figures) == {"psnr", "psnr_noisy", "psnr_shifted", "detail", "gradient"}
    assert figures["gradient"]["tail"] >= 1.0


def test_half_a_cell_is_refused() -> None:
    """Six cells scaled to three quarters are four and a half: the picture would show more than its latents."""
    image = torch.zeros(1, 3, 24, 24)
    with pytest.raises(ValueError, match="multiple of 4"):
        moved_pair(cell_means(image), image, Moved(scale=0.75))
    assert AutoencoderConfig().crop // DEEP.reduction % 4 == 0
