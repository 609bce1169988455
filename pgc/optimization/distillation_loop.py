# SPDX-License-Identifier: Apache-2.0
"""The loop over whatever a run learns: a generator of step results. The caller does IO, preview, cancel, checkpoints.

One step: a subject's pictures x of what is learnt → encode → distillation's gradient on the latents → through the
encoder, and the residual in the image → the sum of both, regulated → what is learnt → its optimiser. A subject may show
several pictures a step, each with a loss of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.base import DistillationLoss, LearningLoss
from pgc.distillation.build import DistillationConfig, build_distillation
from pgc.errors import CheckpointError, ConfigError
from pgc.gradient_regulation.base import finite_pixels
from pgc.gradient_regulation.build import build_regulation
from pgc.guidance.base import Guidance
from pgc.optimization.averaging import TexelAverage
from pgc.optimization.config import OptimizeConfig
from pgc.optimization.finite_watch import FiniteWatch
from pgc.optimization.gradient_statistics import RegulationRecord, gradient_statistics
from pgc.optimization.map_gradients import backward_by_map, image_residual, reconstruction_error
from pgc.optimization.palette import palette_pull
from pgc.optimization.step_parts import Feedback, Heard, Picture, View, stacked
from pgc.optimization.step_result import StepResult
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.view_encoder import as_latents, backpropagate, latent_shape, view_encoder
from pgc.optimization.views.subject import Subject
from pgc.randomness import generator_for

__all__ = ["DistillationLoop", "tensors_below"]


class DistillationLoop:
    """One run: its state, and the generator that advances it.

    The state after step n depends on the configuration and n only, so that a run resumed from `state_dict` equals
    an uninterrupted one, bit for bit on the CPU.
    """

    def __init__(self, subject: Subject, guidance: Guidance, config: OptimizeConfig) -> None:
        self.subject = subject
        self.guidance = guidance
        self.config = config
        self.step: int = 0
        self.loss: DistillationLoss = self._built(config.distillation)
        self.other_losses = {name: self._built(loss) for name, loss in subject.other_losses.items()}
        through = any(loss.needs_encoder_gradient for loss in self._losses())
        self.encoder = view_encoder(guidance, config.encoder_gradient, needs_gradient=through)
        self._latent_shape: tuple[int, int, int] | None = None
        self.regulation = build_regulation(config.regulation)
        self.regulated = RegulationRecord()
        self.finite = FiniteWatch(guidance)
        self.optimizer = subject.optimizer(config, fused=guidance.device.type in ("cpu", "cuda"))
        self._base_rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self._average = TexelAverage(subject.learnt.parameters())

    def _built(self, config: DistillationConfig) -> DistillationLoss:
        loss = build_distillation(config, self.guidance, seed=self.config.seed)
        if self.config.updates > 1 and not loss.has_image_target:
            raise ConfigError(
                f"updates is {self.config.updates}, but {type(config).__name__} gives no picture "
                "that a second update could go towards; use 1."
            )
        return loss

    def _losses(self) -> tuple[DistillationLoss, ...]:
        return (self.loss, *self.other_losses.values())

    @property
    def length(self) -> int:
        """How many steps the run has in all: those of a warm start, if there is one, then those of distillation."""
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
        watch = Stopwatch(self.guidance.device)
        index, progress = self._index, self._index / self.config.steps
        self._set_progress(index, progress)
        with watch.stage("rasterize"):
            view = self.subject.draw(index, self.step)
        heard = [self._hear(picture, watch) for picture in self.subject.pictures(view, watch)]
        with watch.stage("backward"):
            regulated = self._learn(view, heard, progress)
        for _ in range(self.config.updates - 1):
            pictures = self.subject.pictures(view, watch)
            with watch.stage("backward"):
                again = [self._towards(one.feedback, picture) for one, picture in zip(heard, pictures, strict=True)]
                self._learn(view, again, progress)
        self.step += 1
        self._update_average()
        lost = torch.cat([one.lost for one in heard])
        # Regulation leaves those alone that are known to become something.
        judged = [(one, part) for one, part in zip(heard, regulated, strict=True) if one.feedback is not None]
        statistics = gradient_statistics(
            stacked([one.gradient for one, _ in judged]),
            stacked([part for _, part in judged]),
            torch.cat([one.picture.view.covered for one, _ in judged]),
            lost,
        )
        self.regulated.after_step(statistics)
        self.finite.after_step(self.step, statistics.non_finite_pixels, lost.numel())
        return StepResult(
            step=self.step,
            steps=self.length,
            share=self.config.share_done(self.step),
            timesteps=tuple(t for one in heard if one.feedback for t in one.feedback.outcome.timestep.tolist()),
            gradient=statistics,
            image=torch.cat([one.picture.image.detach()[:, :3] for one in heard]),
            image_gradient=stacked(regulated).detach(),
            seconds=watch.finish(),
        )

    def _hear(self, picture: Picture, watch: Stopwatch) -> Heard:
        """Asks the prior about a picture, unless it is known what it is to become."""
        if picture.target is not None:
            return self._towards(None, picture)
        with watch.stage("shade"):
            reference = self.subject.reference(picture)
        with watch.stage("guidance"):
            feedback = self._ask(picture, reference)
        gradient, lost = finite_pixels(feedback.through_encoder + self._residual(picture, feedback))
        return Heard(picture=picture, feedback=feedback, gradient=gradient, lost=lost)

    def _towards(self, feedback: Feedback | None, picture: Picture) -> Heard:
        """What an earlier answer, or what is known, means for a picture of later: the residual in the image."""
        if picture.target is not None:
            residual = picture.target_weight * (picture.image.detach() - picture.target)
        else:
            assert feedback is not None
            residual = self._residual(picture, feedback)
        gradient, lost = finite_pixels(residual)
        return Heard(picture=picture, feedback=feedback, gradient=gradient, lost=lost)

    def _learn(self, view: View, heard: Sequence[Heard], progress: float) -> list[Float[Tensor, "b c h w"]]:
        """Takes one step of the optimiser; returns ∂L/∂x of each picture as regulation left it."""
        self.optimizer.zero_grad(set_to_none=True)
        regulated = [self._regulated(one) for one in heard]
        if all(one.feedback is None or one.feedback.baseline_shift is None for one in heard):
            # At once: pictures of one view have most of the graph in common.
            images = [one.picture.image for one in heard]
            torch.autograd.backward(images, [part.to(image) for part, image in zip(regulated, images, strict=True)])
        else:
            for one, part in zip(heard, regulated, strict=True):
                shift = None if one.feedback is None else one.feedback.baseline_shift
                finish = None if shift is None else self.regulation.regulate(one.gradient + shift, view.covered)
                backward_by_map(one.picture.image, one.picture.material, part, finish)
        penalty = self.subject.penalty(self._index, progress)
        if penalty is not None:
            # On top of the images' gradient, in proportion to how many pixels spoke in this step.
            (penalty * float(view.gbuffer.mask.sum())).backward()
        self.optimizer.step()
        self.subject.learnt.after_step()
        return regulated

    def _regulated(self, one: Heard) -> Float[Tensor, "b c h w"]:
        if one.feedback is None:
            return one.gradient
        return self.regulation.regulate(one.gradient, one.picture.view.covered)

    def _ask(self, picture: Picture, reference: Float[Tensor, "b 3 h w"] | None) -> Feedback:
        """What the prior wants. The image is cut off from what made it, so that regulation sees the whole of ∂L/∂x."""
        progress = self._index / self.config.steps
        if picture.stands_for_latents:
            # Asked for once: an encoder's pass over an empty picture is a good part of such a step.
            self._latent_shape = self._latent_shape or latent_shape(self.guidance)
            encoded = as_latents(picture.image, self.guidance, self._latent_shape)
        else:
            encoded = self.encoder.encode(picture.image, noise_seed=self.config.seed + self.step)
        outcome = self.other_losses.get(picture.name, self.loss).gradient(
            encoded.latents.detach(),
            self.guidance,
            self.subject.conditions(picture, reference, step=self.step, progress=progress),
            progress=progress,
            generator=generator_for(self.config.seed, self.step, f"distillation{picture.name}"),
        )
        if picture.stands_for_latents:
            gradient = backpropagate(encoded.image, encoded.latents, outcome.gradient)
        else:
            gradient = self.encoder.propagate(encoded, outcome.gradient)
        shift = None
        if self.subject.baseline == "reconstruction" and outcome.image_target is not None:
            error = reconstruction_error(self.guidance, encoded.image, encoded.latents)
            shift, _ = finite_pixels(outcome.image_weight * error)
        return Feedback(
            outcome=outcome, through_encoder=gradient, baseline_shift=shift, latents=encoded.latents.detach()
        )

    def _residual(self, picture: Picture, feedback: Feedback) -> Float[Tensor, "b c h w"]:
        """∂L/∂x of what is compared in the image: with the loss's picture, and with the palette of the scene's."""
        image, config, likeness = picture.image.detach(), self.config, self.subject.likeness
        residual = image_residual(image, feedback.outcome)
        if likeness is None or config.likeness_scale == 0.0:
            return residual
        generator = generator_for(config.seed, self.step, "palette")
        return residual + config.likeness_scale * palette_pull(image, picture.view.covered, likeness, generator)

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
        self.subject.set_progress(progress, self.config.live_levels(index))

    def regulation_summary(self) -> dict[str, Any]:
        """Says what regulated ∂L/∂x, what it did so far, and which gradients it saw: what was not used is not named."""
        parts = ["through the encoder"] if self.encoder.needs_gradient else []
        parts += ["residual in the image"] if any(loss.has_image_target for loss in self._losses()) else []
        if self.subject.likeness is not None:
            parts += ["palette of the reference"] if self.config.likeness_scale else []
            parts += ["front view, not regulated"] if self.config.front_scale else []
        return {"method": self.config.regulation, "gradients": parts, **self.regulated.summary()}

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns tensors and a JSON-able header for `pgc.runs.checkpoint.save_checkpoint`."""
        tensors = {f"texture.{key}": value for key, value in self.subject.learnt.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimizer.{index}.{key}"] = torch.as_tensor(value)
        tensors.update({f"average.{key}": value for key, value in self._average.state_dict().items()})
        for prefix, loss in self._learning_losses():
            tensors.update({f"{prefix}{key}": value for key, value in loss.state_dict().items()})
        header = {"step": self.step, "config": self.config.fingerprint(), "regulated": self.regulated.state()}
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
        self.subject.learnt.load_state_dict(tensors_below(tensors, "texture."))
        self._average.load_state_dict(tensors_below(tensors, "average."))
        for prefix, loss in self._learning_losses():
            loss.load_state_dict(tensors_below(tensors, prefix))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                state.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.regulated.load_state(header["regulated"])
        self.step = int(header["step"])

    def _learning_losses(self) -> list[tuple[str, LearningLoss]]:
        """Losses that have a state, each with the beginning of its names in a checkpoint."""
        named = [("loss.", self.loss), *((f"loss of {name}.", loss) for name, loss in self.other_losses.items())]
        return [(prefix, loss) for prefix, loss in named if isinstance(loss, LearningLoss)]


def tensors_below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Returns the tensors whose names begin with a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
