# SPDX-License-Identifier: Apache-2.0
"""Writes ``MODEL_CARD.md`` from what was measured."""

import platform
from dataclasses import dataclass
from pathlib import Path

from pgc.pocket.data.captions import vocabulary
from pgc.pocket.data.dataset import DataConfig
from pgc.pocket.data.lit_captions import lit_vocabulary
from pgc.pocket.data.materials import COLORS, MATERIALS
from pgc.pocket.training.train_diffusion import DiffusionConfig
from pgc.pocket.training.train_vae import VaeConfig
from pgc.whole_files import write_text

_TEMPLATE = """# The pocket prior

A small latent diffusion model in Stable Diffusion's folder format (tokenizer, CLIP text encoder,
AutoencoderKL, UNet2DConditionModel, depth ControlNet), trained by the PGC texture project from
nothing but its own procedural renders. Licence: Apache-2.0, like the code. It exists so that the
texturing path runs on any machine without a download; it is no rival to Stable Diffusion.

![Samples: one material a row, shapes that training never saw](samples.webp)

## Data

{images} renders of {size}x{size} by `python -m pgc.pocket data` (seed {data_seed}): sphere-traced shapes
(single primitives, and unions of two to six of them), the camera ranges of the PGC paper over the full
sphere, plain backgrounds, half of them evenly lit ("flat lighting"). No photograph, no scan, no mesh,
no third-party data. {color_count} colours ({colors}) times {material_count} materials ({materials}).

## Vocabulary

Every word of these groups is a whole token that training saw; `vocabulary.json` has the same list.
Other words run, in pieces, but mean nothing to the model.

{vocabulary}

End a prompt with "flat lighting" for base colour without shading.

## Networks and training

| part | what |
|---|---|
| autoencoder | channels {vae_channels}, {latents} latent channels, 8x smaller, {vae_steps} steps |
| UNet, ControlNet | channels {channels}, cross-attention {text_width}, v-prediction, {steps} steps of {batch} |
| text encoder | {text_layers} layers of {text_width}, trained with the UNet |
| shipped | fp16 safetensors, {megabytes:.1f} MiB in all, moving average of the weights |

Losses: L1 + L2 + L1 of image gradients and a tiny KL for the autoencoder; min-SNR-weighted velocity for the
rest, captions and depth dropped for one picture in ten each. Optimiser: Muon for matrices and kernels (a third of
AdamW's steps for the same reconstruction, as measured here), AdamW for the rest; cosine fall of the learning rate.
Held-out reconstruction: {psnr:.2f} dB PSNR. Hardware: one CPU thread of a {machine} machine, shared with other
jobs; seeds {vae_seed} (autoencoder) and {seed} (diffusion). Command: `python -m pgc.pocket train --out DIR`.

| autoencoder step | PSNR on 64x64 crops, dB |
|---|---|
{vae_curve}

| diffusion step | weighted velocity loss |
|---|---|
{curve}

## The depth picture

Nearest visible point 1, farthest 0.2, linear in depth, background 0, three equal channels:
`pgc.pocket.conditioning.depth_condition`.

## Limits

- It knows its vocabulary and nothing else: no real objects, no compositions, one colour and one material a picture.
- Patterns keep a fixed size (an eighth to a quarter of the object); ask for "tiny bricks" and it will not oblige.
- Second colours (mortar, spots, checks) are white or pale, or dark for white and yellow; they can't be chosen.
- 128x128 only; fine detail is soft, since the autoencoder and the UNet are small.
- Shapes come from the depth picture; without one it draws vague primitives.
"""


_SECOND = """
## The second edition: light, metal and gloss

These weights are the first edition's, widened and trained for {steps} more steps (the figures and curve of the
diffusion training above are of these) over {lit_images} lit renders, with the first edition's renders replayed in a
third of every batch. The lit renders show metals, plastics, rust and the patterns above under a finish, as glTF's
metallic-roughness material, shaded as the project's own runs shade: split sum, generated environments turned and
exposed at random, one tone curve. No shadows, no interreflection. Command: `python -m pgc.pocket extend`.
The shipped weights came in three goes, to 1,600, 3,200 and 4,500 steps, each with a fall of the learning rate of its
own; the last 960 of 3,360 scenes, patterns under finishes, joined for the third, which is why the loss rises there.

The ControlNet's picture has {channels} channels: the depth picture, and behind it the same geometry under the same
light in three white materials (chalk, a mirror, rough silver; `pgc.rendering.known_materials`), sRGB, 0 off the
object. All 0 means that the light is not told: unlit pictures are made so, and training left it out for one lit
picture in five (with or without the depth picture). Ask for light with "soft lighting" and for none with
"flat lighting".
"""


@dataclass(frozen=True)
class CardFacts:
    """What the card states; curves are lists under "step" and one more key."""

    images: int
    held_out_psnr: float
    size: int
    vae_curve: dict[str, list[float]]
    curve: dict[str, list[float]]
    vae: VaeConfig
    diffusion: DiffusionConfig
    lit_images: int = 0
    """Of the second edition; 0 for the first."""


def _rows(curve: dict[str, list[float]], key: str, count: int = 12) -> str:
    steps, values = curve["step"], curve[key]
    stride = max(1, -(-len(steps) // count))
    picked = sorted({*range(0, len(steps), stride), len(steps) - 1})
    return "\n".join(f"| {steps[at]:.0f} | {values[at]:.4g} |" for at in picked if at >= 0)


def write_card(path: Path, facts: CardFacts) -> None:
    """Writes the card to ``path``."""
    groups = lit_vocabulary() if facts.lit_images else vocabulary()
    words = "\n".join(f"- {group}: {', '.join(known)}" for group, known in groups.items())
    data = DataConfig()
    vae, diffusion = facts.vae, facts.diffusion
    text = _TEMPLATE.format(
        images=facts.images, size=data.render.size, data_seed=data.seed,
        color_count=len(COLORS), colors=", ".join(COLORS),
        material_count=len(MATERIALS), materials=", ".join(MATERIALS), vocabulary=words,
        vae_channels="/".join(map(str, vae.channels)), latents=vae.latent_channels,
        vae_steps=int(facts.vae_curve["step"][-1]), vae_seed=vae.seed,
        channels="/".join(map(str, diffusion.channels)), text_width=diffusion.text_width,
        steps=int(facts.curve["step"][-1]), batch=diffusion.batch, text_layers=diffusion.text_layers,
        seed=diffusion.seed, megabytes=facts.size / 2**20, psnr=facts.held_out_psnr, machine=platform.machine(),
        vae_curve=_rows(facts.vae_curve, "crop_psnr"), curve=_rows(facts.curve, "loss"),
    )  # fmt: skip
    if facts.lit_images:
        text += _SECOND.format(
            lit_images=facts.lit_images, steps=int(facts.curve["step"][-1]), channels=diffusion.condition_channels
        )
    write_text(path, text)
