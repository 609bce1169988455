# SPDX-License-Identifier: Apache-2.0
"""A warm start: pictures of the mesh from all round are sampled together, and agree through its texels.

After each step of the sampler (Song et al., "DDIM", 2021, η = 0) what the pictures will be is decoded and put onto the
texels, and the render of these takes their place; so that all views come to show one surface. The idea is that of Cao
et al., "TexFusion" (ICCV 2023) and Liu et al., "Text-Guided Texturing by Synchronized Multi-View Diffusion" (2023).
Here texels are the place where views meet, not latents, so that any autoencoder serves; the texels are those of the
run, which goes on from them by distillation; and what is on the mesh already counts as far as noise leaves it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.rigs import CameraRig
from pgc.cameras.sampling import CameraSampler, RigSampler
from pgc.distillation.base import add_noise
from pgc.distillation.ddim import predict_clean_latents, trailing_timesteps
from pgc.errors import ConfigError
from pgc.guidance.base import Guidance
from pgc.guidance.resizing import resize_bilinear
from pgc.optimization.step_parts import View
from pgc.optimization.views.run_views import RunViews
from pgc.optimization.warm_start.paintable import PaintableField
from pgc.optimization.warm_start.projection import TexelPainter
from pgc.optimization.warm_start_config import WarmStartConfig
from pgc.randomness import generator_for

__all__ = ["WarmStart", "WarmStep", "start_warm"]

_LATENTS, _SIZE = "latents", "image_size"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WarmStep:
    """What one step did."""

    timestep: int
    image: Float[Tensor, "b 3 h w"]
    """The first views, as the prior sees them at the end."""
    lost: int
    """Pixels that were not finite."""
    pixels: int
    """Of all views together."""


class WarmStart:
    """A number of steps, after which the run's texels are painted.

    Its state are the noisy latents of all views. As many views go through the prior together as in a step of
    distillation.
    """

    def __init__(self, texels: PaintableField, views: RunViews, config: WarmStartConfig) -> None:
        self.config = config
        self._texels, self._views, self._guidance = texels, views, views.guidance
        self._seed, self._resolution = views.config.seed, views.config.resolution
        self._at_once = views.config.views
        self._cameras = _cameras(views.scene.cameras, config)
        self._latents: list[Tensor] | None = None
        self._painter: TexelPainter | None = None
        self._agree: Callable[[Sequence[Tensor]], None] = lambda tensors: None

    def share(self, guidance: Guidance, agree: Callable[[Sequence[Tensor]], None]) -> None:
        """Shares the views out: `guidance` asks about a part of them, and `agree` makes copies of tensors one again."""
        self._guidance, self._agree = guidance, agree

    @torch.no_grad()
    def advance(self, index: int) -> WarmStep:
        """Takes step `index` of the sampler, and paints the texels by what it foresees.

        What is not finite counts for nothing: there the texels stay as they are, and the next step begins from them, as
        these latents are worth nothing.
        """
        alphas = self._guidance.alphas_cumprod.float()
        timesteps = trailing_timesteps(len(alphas), self.config.steps, self.config.most_noise)
        timestep, last = timesteps[index], index + 1 == self.config.steps
        if self._latents is None:
            self._latents = self._noised(timestep)
        painter, lost = self._clear_painter(), torch.zeros((), dtype=torch.int64, device=self._guidance.device)
        noises: list[Tensor] = []
        pictures: list[Tensor] = []
        for number, part in enumerate(self._parts()):
            view = self._look(part)
            clean, noise, picture, spoilt = self._foreseen(view, self._latents[number], timestep, index)
            painter.add(view.cameras, view.gbuffer, picture)
            noises.append(noise)
            pictures.append(picture)
            self._latents[number] = clean
            lost += spoilt
        painted = painter.filled() if last else painter.painted()
        self._agree([painted.image])
        # Views may see nothing that they can paint: legs of a few pixels, or an inside alone. Texels then stay.
        if bool(painted.seen.any()):
            self._texels.paint("base_color", painted.image, painted.seen)
        if last:
            self._latents, self._painter = None, None
        else:
            self._step_down(pictures, noises, timestep, timesteps[index + 1])
        if int(lost):
            self._latents = None
        pixels = sum(picture[:, 0].numel() for picture in pictures)
        return WarmStep(timestep=timestep, image=pictures[0], lost=int(lost), pixels=pixels)

    def _foreseen(
        self, view: View, noisy: Tensor, timestep: int, index: int
    ) -> tuple[Tensor, Tensor, Float[Tensor, "b 3 h w"], Tensor]:
        """What the prior foresees of these views: clean latents, noise, the picture, and how many pixels are lost."""
        shown = self._views.flat_picture(view)
        conditions = self._views.conditions(shown, self._views.reference(shown), step=index, progress=0.0)
        batch = self._batch(view, timestep)
        noise = self._guidance.predict_noise(noisy, batch, conditions).guided(self.config.guidance_scale)
        clean = predict_clean_latents(noisy, noise, self._guidance.alphas_cumprod, batch)
        decoded = self._guidance.decode_latents(clean).float().clamp(0.0, 1.0)
        picture = resize_bilinear(decoded, self._resolution)
        fine = torch.isfinite(picture).all(dim=1, keepdim=True)
        picture = torch.where(fine, picture, shown.image)
        return clean.nan_to_num(), noise.nan_to_num(), picture, (~fine).sum()

    def _step_down(self, pictures: list[Tensor], noises: list[Tensor], timestep: int, following: int) -> None:
        """Goes to the next timestep, from what all views together have painted."""
        assert self._latents is not None
        alphas = self._guidance.alphas_cumprod.float()
        together = timestep >= self.config.agree_above * len(alphas)
        for number, part in enumerate(self._parts()):
            view = self._look(part)
            clean, noise = self._latents[number], noises[number]
            if together:
                noisy = add_noise(clean, noise, alphas, self._batch(view, timestep))
                clean = self._agreed(view, pictures[number])
                noise = _noise_between(noisy, clean, alphas[timestep])
            self._latents[number] = add_noise(clean, noise, alphas, self._batch(view, following))
        self._agree(self._latents)

    def _agreed(self, view: View, picture: Float[Tensor, "b 3 h w"]) -> Tensor:
        """Latents of the render; behind the mesh stays what the prior has painted there."""
        covered = view.gbuffer.coverage
        rendered = self._views.flat_picture(view).image
        return self._encode(covered * rendered + (1.0 - covered) * picture)

    def _noised(self, timestep: int) -> list[Tensor]:
        """The render as it is, under the noise of the first timestep; the same however many views go together."""
        views = (self._look(part) for part in self._parts())
        clean = torch.cat([self._encode(self._views.flat_picture(view).image) for view in views])
        noise = torch.randn(clean.shape, generator=generator_for(self._seed, 0, "warm-start")).to(clean)
        batch = torch.full((len(clean),), timestep, device=clean.device)
        return list(add_noise(clean, noise, self._guidance.alphas_cumprod, batch).split(self._at_once))

    def _encode(self, image: Float[Tensor, "b 3 h w"]) -> Tensor:
        return torch.cat([self._guidance.encode_image(one) for one in image.split(1)]).nan_to_num()

    def _parts(self) -> list[slice]:
        """All views, as many together as the prior takes at once."""
        return [slice(first, first + self._at_once) for first in range(0, len(self._cameras), self._at_once)]

    def _look(self, part: slice) -> View:
        """Some of the views. They are drawn anew each time: all together they would take much of a card's memory."""
        generator = generator_for(self._seed, 0, "warm-background")
        backgrounds = torch.rand((len(self._cameras), 3, 1, 1), generator=generator)
        return self._views.look(self._cameras[part], backgrounds[part])

    def _clear_painter(self) -> TexelPainter:
        if self._painter is None:
            # A texel of a finer level is less than half a pixel: the pictures have nothing to say of it.
            size = min(self._texels.texture_size, 1 << (4 * self._resolution - 1).bit_length())
            self._painter = TexelPainter(
                self._texels.triangles, size, self._texels.layout.tiles, self.config.grazing, self._guidance.device
            )
        self._painter.clear()
        return self._painter

    def _batch(self, view: View, timestep: int) -> Tensor:
        return torch.full((len(view.cameras),), timestep, device=self._guidance.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns what the next step needs; nothing before the first step and after the last."""
        if self._latents is None:
            return {}
        return {_LATENTS: torch.cat(self._latents), _SIZE: torch.tensor(self._guidance.image_size)}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Continues from what `state_dict` gave; from what is on the mesh, where that was for pictures of another size,
        as a smaller memory plan may have them."""
        saved = tensors.get(_LATENTS)
        if int(tensors.get(_SIZE, self._guidance.image_size)) != self._guidance.image_size:
            saved = None
        self._latents = None if saved is None else list(saved.to(self._guidance.device).split(self._at_once))


def start_warm(views: RunViews, config: WarmStartConfig) -> WarmStart:
    """Prepares the warm start of a run. Raises ConfigError where its texture has no texels to paint."""
    texture = views.scene.texture
    if not isinstance(texture, PaintableField):
        raise ConfigError(f"A warm start paints texels, and {type(texture).__name__} has none; leave one of them out.")
    return WarmStart(texture, views, config)


def _cameras(sampler: CameraSampler, config: WarmStartConfig) -> list[Camera]:
    """The artist's own views where the run has only these, spread over all of them; else a ring."""
    if isinstance(sampler, RigSampler):
        count = min(config.views, len(sampler.cameras))
        return [sampler.cameras[at * len(sampler.cameras) // count] for at in range(count)]
    ring = CameraRig.staggered_ring(
        config.views, elevations=config.elevations, distance=config.distance, focal=config.focal
    )
    return list(ring.cameras)


def _noise_between(noisy: Tensor, clean: Tensor, alpha: Tensor) -> Tensor:
    """The noise by which clean latents became noisy ones."""
    return (noisy - alpha.sqrt() * clean) / (1.0 - alpha).sqrt()
