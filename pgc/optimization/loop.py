# SPDX-License-Identifier: Apache-2.0
"""The loop: a generator of step results. The caller does IO, preview, cancel and checkpoints.

One step: sample cameras → G-buffer → texture fetch → shading → image x → encode → distillation's gradient on the
latents → through the encoder, and the residual in the image → the sum of both, regulated → texels → Adam.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.cameras.staged import ProgressingSampler
from pgc.distillation.base import DistillationLoss, LearningLoss
from pgc.distillation.build import build_distillation
from pgc.errors import CheckpointError, ConfigError
from pgc.gradient_regulation.base import finite_pixels
from pgc.gradient_regulation.build import build_regulation
from pgc.guidance.base import Guidance
from pgc.optimization.averaging import TexelAverage
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.finite_watch import FiniteWatch
from pgc.optimization.gradient_statistics import RegulationRecord, gradient_statistics
from pgc.optimization.map_gradients import backward_by_map, image_residual, reconstruction_error
from pgc.optimization.palette import palette_pull
from pgc.optimization.scene import Scene
from pgc.optimization.step_parts import Feedback, Picture
from pgc.optimization.step_result import StepResult
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.view_encoder import view_encoder
from pgc.optimization.views.run_views import RunViews
from pgc.optimization.warm_start.sampling import WarmStart, start_warm
from pgc.randomness import generator_for

__all__ = ["Optimization"]


class Optimization:
    """One run: its state, and the generator that advances it.

    The state after step n depends on the configuration and n only, so that a run resumed from `state_dict` equals
    an uninterrupted one, bit for bit on the CPU.
    """

    def __init__(self, scene: Scene, guidance: Guidance, prompt: Prompt, config: OptimizeConfig) -> None:
        self.scene = scene
        self.guidance = guidance
        self.prompt = prompt
        self.config = config
        self.step = 0
        self.loss: DistillationLoss = build_distillation(config.distillation, guidance, seed=config.seed)
        if config.updates > 1 and not self.loss.has_image_target:
            raise ConfigError(
                f"updates is {config.updates}, but {type(config.distillation).__name__} gives no picture "
                "that a second update could go towards; use 1."
            )
        through = self.loss.needs_encoder_gradient
        self.encoder = view_encoder(guidance, config.encoder_gradient, needs_gradient=through)
        self.regulation = build_regulation(config.regulation)
        self.regulated = RegulationRecord()
        self.finite = FiniteWatch(guidance)
        self._groups = scene.texture.parameter_groups(config.learning_rate)
        self._base_rates = [float(group["lr"]) for group in self._groups]
        # Fused: one pass over the texels instead of a dozen, several times faster on the CPU.
        fused = guidance.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(self._groups, betas=config.betas, eps=config.epsilon, fused=fused)
        self._average = TexelAverage(scene.texture.parameters())
        self.views = RunViews(scene, guidance, prompt, config)
        self.warm = None if config.warm_start is None else start_warm(self.views, config.warm_start)

    @property
    def length(self) -> int:
        """How many steps the run has in all: those of a warm start, then those of distillation."""
        return self.config.warm_steps + self.config.steps

    @property
    def _index(self) -> int:
        """The present step of distillation; negative before it begins."""
        return self.step - self.config.warm_steps

    def encode_view_by_view(self) -> None:
        """Encodes view by view from now on, with less memory and more time; the run stays the same. See
        `ViewEncoder.view_by_view`."""
        self.encoder = replace(self.encoder, view_by_view=True)

    def steps(self) -> Iterator[StepResult]:
        """Advances to the end of the run, one result a step. Closing the generator leaves a resumable state."""
        while self.step < self.length:
            yield self.advance()

    def advance(self) -> StepResult:
        """Takes one step."""
        if self.warm is not None and self._index < 0:
            return self._advance_warm(self.warm)
        watch = Stopwatch(self.guidance.device)
        index, progress = self._index, self._index / self.config.steps
        self._set_progress(index, progress)
        with watch.stage("rasterize"):
            view = self.views.draw(index, self.step)
        picture = self.views.picture(view, watch)
        with watch.stage("shade"):
            reference = self.views.reference(view)
        with watch.stage("guidance"):
            feedback = self._ask(picture, reference)
        gradient, lost = finite_pixels(feedback.through_encoder + self._residual(picture, feedback))
        with watch.stage("backward"):
            regulated = self._update_texels(picture, gradient, feedback, progress)
        for _ in range(self.config.updates - 1):
            again = self.views.picture(view, watch)
            with watch.stage("backward"):
                residual, _ = finite_pixels(self._residual(again, feedback))
                self._update_texels(again, residual, feedback, progress)
        self.step += 1
        self._update_average()
        statistics = gradient_statistics(gradient, regulated, view.covered, lost)
        self.regulated.after_step(statistics)
        self.finite.after_step(self.step, statistics.non_finite_pixels, lost.numel())
        return StepResult(
            step=self.step,
            steps=self.length,
            share=self.config.share_done(self.step),
            timesteps=tuple(feedback.outcome.timestep.tolist()),
            gradient=statistics,
            image=picture.image.detach(),
            image_gradient=regulated.detach(),
            seconds=watch.finish(),
        )

    def _advance_warm(self, warm: WarmStart) -> StepResult:
        watch = Stopwatch(self.guidance.device)
        with watch.stage("guidance"):
            done = warm.advance(self.step)
        self.step += 1
        self.finite.after_step(self.step, done.lost, done.pixels)
        return StepResult(
            step=self.step,
            steps=self.length,
            share=self.config.share_done(self.step),
            timesteps=(done.timestep,),
            gradient=None,
            image=done.image,
            image_gradient=None,
            seconds=watch.finish(),
        )

    def _update_texels(
        self, picture: Picture, gradient: Float[Tensor, "b 3 h w"], feedback: Feedback, progress: float
    ) -> Float[Tensor, "b 3 h w"]:
        """Takes one step of the optimiser; returns ∂L/∂x as regulation left it."""
        covered = picture.view.covered
        self.optimizer.zero_grad(set_to_none=True)
        shift = feedback.baseline_shift
        regulated = self.regulation.regulate(gradient, covered)
        finish = None if shift is None else self.regulation.regulate(gradient + shift, covered)
        backward_by_map(picture.image, picture.material, regulated, finish)
        self._add_penalty(picture.view.gbuffer.mask, progress)
        self.optimizer.step()
        self.scene.texture.after_step()
        return regulated

    def _ask(self, picture: Picture, reference: Float[Tensor, "b 3 h w"] | None) -> Feedback:
        """What the prior wants. The image is cut off from the texture, so that regulation sees the whole of ∂L/∂x."""
        progress = self._index / self.config.steps
        encoded = self.encoder.encode(picture.image, noise_seed=self.config.seed + self.step)
        outcome = self.loss.gradient(
            encoded.latents.detach(),
            self.guidance,
            self.views.conditions(picture, reference, step=self.step, progress=progress),
            progress=progress,
            generator=generator_for(self.config.seed, self.step, "distillation"),
        )
        gradient = self.encoder.propagate(encoded, outcome.gradient)
        shift = None
        if self.scene.baseline == "reconstruction" and outcome.image_target is not None:
            error = reconstruction_error(self.guidance, encoded.image, encoded.latents)
            shift, _ = finite_pixels(outcome.image_weight * error)
        return Feedback(outcome=outcome, through_encoder=gradient, baseline_shift=shift)

    def _residual(self, picture: Picture, feedback: Feedback) -> Float[Tensor, "b 3 h w"]:
        """∂L/∂x of what is compared in the image: with the loss's picture, and with the palette of the scene's."""
        image, config, likeness = picture.image.detach(), self.config, self.scene.likeness
        residual = image_residual(image, feedback.outcome)
        if likeness is None or config.likeness_scale == 0.0:
            return residual
        generator = generator_for(config.seed, self.step, "palette")
        return residual + config.likeness_scale * palette_pull(image, picture.view.covered, likeness, generator)

    def _add_penalty(self, mask: Bool[Tensor, "b 1 h w"], progress: float) -> None:
        """The penalty's gradient on top of the image's, in proportion to how many pixels spoke in this step."""
        penalty = None if self.scene.penalty is None else self.scene.penalty.penalty(self._index, progress)
        if penalty is not None:
            (penalty * float(mask.sum())).backward()

    def _update_average(self) -> None:
        config = self.config
        if self._index <= config.average_from * config.steps:
            return
        self._average.update()
        if self.step == self.length:
            self._average.apply()

    def _set_progress(self, index: int, progress: float) -> None:
        """Learning rates, live levels and cameras, as functions of the progress alone."""
        scale = self.config.learning_rate_scale(index)
        for group, rate in zip(self.optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = rate * scale
        if isinstance(self.scene.cameras, ProgressingSampler):
            self.scene.cameras.set_progress(progress)
        self.scene.texture.set_progress(self.config.live_levels(index))

    def regulation_summary(self) -> dict[str, Any]:
        """Says what regulated ∂L/∂x, what it did so far, and which gradients it saw: what was not used is not named."""
        parts = ["through the encoder"] if self.loss.needs_encoder_gradient else []
        parts += ["residual in the image"] if self.loss.has_image_target else []
        parts += ["palette of the reference"] if self.config.likeness_scale and self.scene.likeness is not None else []
        return {"method": self.config.regulation, "gradients": parts, **self.regulated.summary()}

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns tensors and a JSON-able header for `pgc.runs.checkpoint.save_checkpoint`."""
        tensors = {f"texture.{key}": value for key, value in self.scene.texture.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimizer.{index}.{key}"] = torch.as_tensor(value)
        tensors.update({f"average.{key}": value for key, value in self._average.state_dict().items()})
        if isinstance(self.loss, LearningLoss):
            tensors.update({f"loss.{key}": value for key, value in self.loss.state_dict().items()})
        if self.warm is not None:
            tensors.update({f"warm.{key}": value for key, value in self.warm.state_dict().items()})
        header = {"step": self.step, "config": self.config.fingerprint(), "regulated": self.regulated.state()}
        if self.config.warm_steps:
            header["warm_steps"] = self.config.warm_steps
        return tensors, header

    def load_state_dict(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Continues from a saved state.

        Raises:
            CheckpointError: the state belongs to a run with other settings.
        """
        if header.get("config") != self.config.fingerprint():
            raise CheckpointError(
                "The checkpoint was written by a run with other settings; resume with the settings in its run.json, "
                "or start a new run in another folder."
            )
        self.scene.texture.load_state_dict(_below(tensors, "texture."))
        self._average.load_state_dict(_below(tensors, "average."))
        if isinstance(self.loss, LearningLoss):
            self.loss.load_state_dict(_below(tensors, "loss."))
        if self.warm is not None:
            self.warm.load_state_dict(_below(tensors, "warm."))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                state.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.regulated.load_state(header["regulated"])
        self.step = int(header["step"])


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
