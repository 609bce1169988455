# SPDX-License-Identifier: Apache-2.0
"""Second training stage: UNet, depth ControlNet and text encoder together, on cached latents."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from pgc.pocket.conditioning import depth_condition
from pgc.pocket.data.dataset import RenderSet
from pgc.pocket.training.state import OptimizerConfig, TrainState, use_channels_last
from pgc.pocket.training.tokenizer import END, MAX_LENGTH, START, load_tokenizer
from pgc.pocket.training.train_vae import to_input
from pgc.whole_files import write_tensors

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class DiffusionConfig:
    """Architecture and schedule of everything that is trained on latents."""

    latent_channels: int = 8
    latent_size: int = 16
    channels: tuple[int, ...] = (64, 128, 192)
    heads: tuple[int, ...] = (2, 4, 6)
    text_width: int = 128
    text_layers: int = 4
    depth_channels: tuple[int, ...] = (8, 16, 32, 96)
    condition_channels: int = 3
    """Of the ControlNet's image: depth alone, or depth and known materials (``conditioning.lit_condition``)."""
    steps: int = 1700
    batch: int = 24
    drop_caption: float = 0.1
    drop_depth: float = 0.1
    min_snr: float = 5.0
    save_every: int = 100
    seed: int = 13
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=1e-3, matrix_rate=2e-3, ema_decay=0.998)
    )


@dataclass(frozen=True)
class LatentSet:
    """What training reads: latents of the pictures and of their mirror images, depth, token ids."""

    latents: Tensor  # float16 [2, N, C, h, w], scaled to unit variance
    depths: Tensor  # float16 [N, 1, S, S], 0 off the object
    tokens: Tensor  # int64 [N, MAX_LENGTH]
    empty: Tensor  # int64 [MAX_LENGTH], tokens of the empty caption


class Networks(nn.Module):
    """The three networks of this stage under one roof, so that they train and save together."""

    def __init__(self, config: DiffusionConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=vocabulary_size,
                hidden_size=config.text_width,
                intermediate_size=4 * config.text_width,
                projection_dim=config.text_width,
                num_hidden_layers=config.text_layers,
                num_attention_heads=4,
                max_position_embeddings=MAX_LENGTH,
                pad_token_id=vocabulary_size - 1,
                bos_token_id=vocabulary_size - 2,
                eos_token_id=vocabulary_size - 1,
            )
        )
        # Heads a level, although diffusers annotates and names it as the width of one head.
        heads: dict[str, Any] = {"attention_head_dim": config.heads}
        self.unet = UNet2DConditionModel(
            sample_size=config.latent_size,
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            block_out_channels=config.channels,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=config.text_width,
            **heads,
            norm_num_groups=16,
        )
        self.controlnet = ControlNetModel.from_unet(
            self.unet,
            conditioning_embedding_out_channels=config.depth_channels,
            conditioning_channels=config.condition_channels,
        )
        # On the CPU plain matrix products train a good deal faster than the fused attention.
        self.unet.set_attn_processor(AttnProcessor())
        self.controlnet.set_attn_processor(AttnProcessor())

    def forward(self, noisy: Tensor, timestep: Tensor, tokens: Tensor, condition: Tensor) -> Tensor:
        """Predicts velocity [B, C, h, w] from noisy latents, token ids [B, L] and the condition [B, K, S, S]."""
        hidden = self.text_encoder(tokens).last_hidden_state
        down, middle = self.controlnet(noisy, timestep, hidden, controlnet_cond=condition, return_dict=False)
        predicted: Tensor = self.unet(
            noisy, timestep, hidden, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample
        return predicted


def build_scheduler() -> DDPMScheduler:
    """Builds Stable Diffusion's noise schedule, predicting velocity (steadier than noise at few pixels)."""
    return DDPMScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        prediction_type="v_prediction", clip_sample=False,
    )  # fmt: skip


@torch.no_grad()
def encode_latents(vae: AutoencoderKL, images: np.ndarray) -> Tensor:
    """Returns unscaled latents, float16 [N, C, h, w], of uint8 pictures [N, S, S, 3]: the posterior's mean."""
    parts = []
    for first in range(0, len(images), 8):
        batch = to_input(images[first : first + 8])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts.append(vae.encode(batch, return_dict=False)[0].mode().half())
    return torch.cat(parts)


def cache_latents(vae: AutoencoderKL, data: RenderSet, tokenizer_folder: Path) -> tuple[LatentSet, float]:
    """Encodes every picture and its mirror image; returns the set and the VAE's scaling factor."""
    latents = torch.stack([encode_latents(vae, data.images), encode_latents(vae, data.images[:, :, ::-1])])
    scaling = 1.0 / float(latents[0, :4096].float().std())
    tokenizer = load_tokenizer(tokenizer_folder)
    options = {"padding": "max_length", "max_length": MAX_LENGTH, "truncation": True, "return_tensors": "pt"}
    tokens = tokenizer([*data.captions, ""], **options).input_ids
    depths = torch.from_numpy(data.depths)[:, None]
    scaled = torch.cat([(part.float() * scaling).half() for part in latents.flatten(0, 1).split(1024)])
    return LatentSet(scaled.view(latents.shape), depths, tokens[:-1], tokens[-1]), scaling


def save_latents(cached: LatentSet, scaling: float, path: Path, held_out_psnr: float) -> None:
    """Keeps the cache in one safetensors file, with what the export needs to know about it."""
    tensors = {"latents": cached.latents, "depths": cached.depths, "tokens": cached.tokens, "empty": cached.empty}
    facts = {"scaling": repr(scaling), "held_out_psnr": repr(held_out_psnr), "images": str(len(cached.tokens))}
    write_tensors(path, {key: value.contiguous() for key, value in tensors.items()}, metadata=facts)


def load_latents(path: Path) -> LatentSet:
    """Reads what ``save_latents`` wrote."""
    from safetensors.torch import load_file

    return LatentSet(**load_file(path))


def _batch(cached: LatentSet, config: DiffusionConfig, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, token ids and depth pictures of one batch: mirrored, captions and depth dropped at random."""
    rng = np.random.default_rng([config.seed, step])
    index = torch.from_numpy(rng.integers(cached.tokens.shape[0], size=config.batch))
    mirrored = torch.from_numpy(rng.random(config.batch) < 0.5 * (len(cached.latents) - 1))
    latents = cached.latents[mirrored.long(), index].float()
    raw = cached.depths[index].float()
    raw = torch.where(mirrored[:, None, None, None], raw.flip(-1), raw)
    depth = depth_condition(raw, raw > 0)
    depth = depth * torch.from_numpy(rng.random(config.batch) >= config.drop_depth).float()[:, None, None, None]
    dropped = torch.from_numpy(rng.random(config.batch) < config.drop_caption)
    tokens = torch.where(dropped[:, None], cached.empty, cached.tokens[index])
    return latents, tokens, depth


def velocity_loss(
    networks: Networks,
    scheduler: DDPMScheduler,
    batch: tuple[Tensor, Tensor, Tensor],
    seed: int,
    min_snr: float,
    bfloat16: bool = True,
) -> Tensor:
    """Computes the velocity loss of (latents, token ids, condition), weighted so that nearly clean latents do not
    dominate.

    The weighting is min-SNR; noise and timesteps are drawn from ``seed`` alone.
    """
    latents, tokens, condition = batch
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(latents.shape, generator=generator)
    # Stratified over the batch: every batch sees all noise levels, so the loss is less noisy.
    strata = torch.arange(len(latents)) + torch.rand(len(latents), generator=generator)
    timestep = cast(torch.IntTensor, (strata / len(latents) * 1000).long())
    noisy = scheduler.add_noise(latents, noise, timestep).contiguous(memory_format=torch.channels_last)
    target = scheduler.get_velocity(latents, noise, timestep)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        condition = condition.contiguous(memory_format=torch.channels_last)
        predicted = networks(noisy, timestep, tokens, condition).float()
    alpha = scheduler.alphas_cumprod[timestep]
    snr = alpha / (1.0 - alpha)
    weight = snr.clamp(max=min_snr) / (snr + 1.0)
    error = (predicted - target).square().mean(dim=(1, 2, 3))
    return (weight * error).mean() / weight.mean()


def build_networks(config: DiffusionConfig, tokenizer_folder: Path) -> Networks:
    """Builds untrained networks for the tokenizer in ``tokenizer_folder``."""
    tokenizer = load_tokenizer(tokenizer_folder)
    if tokenizer.convert_tokens_to_ids([START, END]) != [len(tokenizer) - 2, len(tokenizer) - 1]:
        raise ValueError(f"The tokenizer in {tokenizer_folder} must end with its start and end tokens.")
    torch.manual_seed(config.seed)
    networks = Networks(config, len(tokenizer))
    use_channels_last(networks)
    return networks


def train_diffusion(cached: LatentSet, tokenizer_folder: Path, out: Path, config: DiffusionConfig) -> Path:
    """Trains, or goes on from ``out/diffusion.safetensors``; returns that path."""
    networks = build_networks(config, tokenizer_folder)
    state = TrainState(networks, config.optimizer)
    scheduler = build_scheduler()

    def loss_at(step: int) -> Tensor:
        """Returns the loss of a step's batch."""
        seed = config.seed * 1_000_003 + step
        return velocity_loss(networks, scheduler, _batch(cached, config, step), seed, config.min_snr)

    return fit(state, loss_at, out / "diffusion.safetensors", steps=config.steps, save_every=config.save_every)


def fit(state: TrainState, loss_at: Callable[[int], Tensor], checkpoint: Path, *, steps: int, save_every: int) -> Path:
    """Takes steps up to ``steps``, from the checkpoint where there is one; returns the checkpoint's path."""
    curves: dict[str, list[float]] = {"step": [], "loss": []}
    if checkpoint.exists():
        curves = state.load(checkpoint)
    recent: list[float] = []
    started = time.monotonic()
    while state.step < steps:
        loss = loss_at(state.step)
        state.update(loss, steps)
        recent.append(float(loss.detach()))
        if state.step % 50 == 0:
            mean, pace = sum(recent) / len(recent), (time.monotonic() - started) / len(recent)
            _LOG.info("diffusion step %d: loss %.4f, %.2f s a step", state.step, mean, pace)
            curves["step"].append(float(state.step))
            curves["loss"].append(round(mean, 5))
            recent, started = [], time.monotonic()
        if state.step % save_every == 0 or state.step == steps:
            state.save(checkpoint, curves)
    return checkpoint
