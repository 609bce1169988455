# SPDX-License-Identifier: Apache-2.0
"""The loop over a texture: see `pgc.optimization.distillation_loop`. Before its steps there may be a warm start's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pgc.errors import ConfigError
from pgc.guidance.base import Guidance
from pgc.lighting.explained.explaining import LightExplainer
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.distillation_loop import DistillationLoop, tensors_below
from pgc.optimization.scene import Scene
from pgc.optimization.step_parts import Heard, Picture
from pgc.optimization.step_result import StepResult
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.views.found_light import under_found_light, wanted_picture
from pgc.optimization.views.run_views import RunViews
from pgc.optimization.warm_start.sampling import WarmStart, start_warm
from pgc.randomness import generator_for
from pgc.rendering.pbr_shading import pbr_shade

__all__ = ["Optimization"]


class Optimization(DistillationLoop):
    """One run that textures a fixed mesh."""

    def __init__(self, scene: Scene, guidance: Guidance, prompt: Prompt, config: OptimizeConfig) -> None:
        self.scene = scene
        self.prompt = prompt
        self.views = RunViews(scene, guidance, prompt, config)
        super().__init__(self.views, guidance, config)
        self.warm = None if config.warm_start is None else start_warm(self.views, config.warm_start)
        self.explainer = None if config.explained_light is None else LightExplainer(config.explained_light)
        if self.explainer is not None and (scene.lighting is None or scene.shade is not pbr_shade):
            raise ConfigError(
                "explained_light finds the light of lit pictures, and this run's are not lit; ask for roughness, "
                "metallic or normal as well, or leave explained_light out."
            )
        if self.explainer is not None and scene.baseline != "render":
            raise ConfigError(
                f"explained_light compares finishes under a found light, and this run with the {scene.baseline}; leave "
                "explained_light out for a prior that is told the light."
            )

    def _hear(self, picture: Picture, watch: Stopwatch) -> Heard:
        """Asks the prior about a picture; where the light is to be explained, its answer is taken under that light."""
        heard = super()._hear(picture, watch)
        feedback, side = heard.feedback, picture.image.shape[-1]
        if self.explainer is None or feedback is None or feedback.latents is None:
            return heard
        with watch.stage("guidance"):
            wanted = wanted_picture(feedback.outcome, feedback.latents, self.guidance, side)
        with watch.stage("explain"):
            generator = generator_for(self.config.seed, self.step, "explained light")
            return under_found_light(heard, wanted.to(picture.image), self.explainer, generator)

    def advance(self) -> StepResult:
        """Takes one step."""
        if self.warm is not None and self._index < 0:
            return self._advance_warm(self.warm)
        return super().advance()

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

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns tensors and a JSON-able header for `pgc.runs.checkpoint.save_checkpoint`."""
        tensors, header = super().state_dict()
        if self.warm is not None:
            tensors.update({f"warm.{key}": value for key, value in self.warm.state_dict().items()})
        if self.explainer is not None:
            tensors.update({f"explained.{key}": value for key, value in self.explainer.state_dict().items()})
        if self.config.warm_steps:
            header["warm_steps"] = self.config.warm_steps
        return tensors, header

    def load_state_dict(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Continues from a saved state.

        Raises:
            CheckpointError: the state belongs to a run with other settings.
        """
        super().load_state_dict(tensors, header)
        if self.warm is not None:
            self.warm.load_state_dict(tensors_below(tensors, "warm."))
        if self.explainer is not None:
            self.explainer.load_state_dict(tensors_below(tensors, "explained."))
