# SPDX-License-Identifier: Apache-2.0
"""The views of a run: drawn, rendered, and told to its prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.staged import ProgressingSampler
from pgc.distillation.build import DistillationConfig
from pgc.guidance.base import Conditions, Guidance
from pgc.lighting.base import StepLights
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.map_gradients import Baseline
from pgc.optimization.scene import Scene
from pgc.optimization.step_parts import Picture, View
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.views.front_view import towards_picture
from pgc.optimization.views.prompts import ViewPrompts
from pgc.optimization.views.shown_controls import camera_poses, with_shown
from pgc.optimization.views.told_light import told_light
from pgc.randomness import generator_for, numpy_generator_for
from pgc.rendering.compositing import composite
from pgc.rendering.light import ViewedLight
from pgc.rendering.raster.gbuffer import surface_points
from pgc.rendering.shading import unlit
from pgc.texture.field import TextureField

__all__ = ["RunViews", "drawn_background"]


class RunViews:
    """Makes a run's views and pictures. All that is random in them depends on the seed and a number alone."""

    def __init__(self, scene: Scene, guidance: Guidance, prompt: Prompt, config: OptimizeConfig) -> None:
        self.scene, self.guidance, self.prompt, self.config = scene, guidance, prompt, config
        self._prompts = ViewPrompts(guidance, prompt)
        self._front: View | None = None
        """Of the picture that the front is to look like; drawn once."""

    @property
    def learnt(self) -> TextureField:
        """The texels."""
        return self.scene.texture

    @property
    def baseline(self) -> Baseline:
        """See `Scene.baseline`."""
        return self.scene.baseline

    @property
    def likeness(self) -> Float[Tensor, "1 3 h w"] | None:
        """See `Scene.likeness`."""
        return self.scene.likeness

    @property
    def other_losses(self) -> Mapping[str, DistillationConfig]:
        """None: there is one picture a step."""
        return {}

    def optimizer(self, config: OptimizeConfig, *, fused: bool) -> torch.optim.Optimizer:
        """Builds Adam over the texels. Fused: one pass over them, not a dozen; several times faster on the CPU."""
        groups = self.scene.texture.parameter_groups(config.learning_rate)
        return torch.optim.Adam(groups, betas=config.betas, eps=config.epsilon, fused=fused)

    def set_progress(self, progress: float, live: float) -> None:
        """Sets where the cameras stand, and how many levels of the texture are live."""
        if isinstance(self.scene.cameras, ProgressingSampler):
            self.scene.cameras.set_progress(progress)
        self.scene.texture.set_progress(live)

    def penalty(self, index: int, progress: float) -> Float[Tensor, ""] | None:
        """Returns the scene's penalty on the texels."""
        return None if self.scene.penalty is None else self.scene.penalty.penalty(index, progress)

    def draw(self, index: int, step: int) -> View:
        """Draws cameras and backgrounds of step `index` of distillation, and the light of the run's step `step`."""
        config = self.config
        cameras = self.scene.cameras.sample(config.views, numpy_generator_for(config.seed, index, "cameras"))
        lighting, lights = self.scene.lighting, StepLights(render=None, reference=None)
        if lighting is not None:
            lights = lighting.draw(cameras, generator_for(config.seed, step, "lighting"))
        return self.look(cameras, drawn_background(config, index), lights)

    def look(
        self, cameras: Sequence[Camera], background: Float[Tensor, "b 3 1 1"], lights: StepLights | None = None
    ) -> View:
        """Rasterises views; without lights, they show base colour as it is."""
        side = self.config.resolution
        gbuffer = self.scene.rasterizer.render(cameras, (side, side))
        return View(
            cameras=list(cameras),
            gbuffer=gbuffer,
            points=surface_points(gbuffer),
            covered=gbuffer.coverage > 0,
            background=background.to(gbuffer.uv.device),
            lights=lights or StepLights(render=None, reference=None),
        )

    def pictures(self, view: View, watch: Stopwatch) -> list[Picture]:
        """Returns the step's picture, and where the front is to look like something, that view."""
        # Where the light is explained, the maps learn of the picture under the found light, and of no other.
        shown = [self.picture(view, watch, shading_graph=self.config.explained_light is None)]
        wanted, camera, scale = self.scene.front, self.scene.front_camera, self.config.front_scale
        if wanted is None or camera is None or not scale:
            return shown
        if self._front is None:
            self._front = self.look([camera(self.prompt.front_axis)], torch.full((1, 3, 1, 1), 0.5))
        return [*shown, towards_picture(self.picture(self._front, watch), wanted, scale)]

    def picture(self, view: View, watch: Stopwatch, *, shading_graph: bool = True) -> Picture:
        """Renders the texels as they are, with the gradients that the caller has on; the image has none without
        `shading_graph`."""
        with watch.stage("fetch"):
            material = self.scene.texture.sample(view.points)
        with watch.stage("shade"), torch.set_grad_enabled(shading_graph and torch.is_grad_enabled()):
            return Picture(view=view, material=material, image=self._shade(view, material, view.lights.render))

    @torch.no_grad()
    def flat_picture(self, view: View) -> Picture:
        """Renders base colour as it is, without light and gradients."""
        material = self.scene.texture.sample(view.points)
        image = composite(unlit(view.gbuffer, material, None), view.gbuffer.coverage, view.background)
        return Picture(view=view, material=material, image=image)

    @torch.no_grad()
    def reference(self, picture: Picture) -> Float[Tensor, "b 3 h w"] | None:
        """Renders what the oracle knows; None for all other priors."""
        if self.scene.reference is None:
            return None
        view = picture.view
        return self._shade(view, self.scene.reference.sample(view.points), view.lights.reference)

    def conditions(
        self, picture: Picture, reference: Float[Tensor, "b 3 h w"] | None, *, step: int, progress: float
    ) -> Conditions:
        """Says what the prior is told of pictures in the run's step `step`."""
        view = picture.view
        conditions = Conditions(
            prompt=self._prompts.of(view.cameras),
            negative=self._prompts.negative_of(view.cameras),
            depth=view.gbuffer.depth,
            mask=view.gbuffer.mask,
            shading=told_light(self.guidance, view.gbuffer, view.lights.render),
            truth_image=reference,
            camera_to_world=camera_poses(view.cameras),
            surface=view.points,
            progress=progress,
            generator=generator_for(self.config.seed, step, "conditions"),
        )
        return with_shown(conditions, self.guidance, self.scene, picture)

    def _shade(self, view: View, material: Mapping[str, Tensor], light: ViewedLight | None) -> Float[Tensor, "b 3 h w"]:
        return composite(self.scene.shade(view.gbuffer, material, light), view.gbuffer.coverage, view.background)


def drawn_background(config: OptimizeConfig, index: int) -> Float[Tensor, "b 3 1 1"]:
    """Draws the colours behind the views of step `index` of distillation."""
    if not config.background.random:
        return torch.tensor(config.background.color)[None, :, None, None].expand(config.views, 3, 1, 1)
    generator = generator_for(config.seed, index, "background")
    return torch.rand((config.views, 3, 1, 1), generator=generator)
