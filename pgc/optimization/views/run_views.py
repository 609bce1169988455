# SPDX-License-Identifier: Apache-2.0
"""The views of a run: drawn, rendered, and told to its prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.view_names import VIEW_NAMES, view_name
from pgc.guidance.base import Conditions, Guidance, PromptEmbedding
from pgc.lighting.base import StepLights
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.scene import Scene
from pgc.optimization.step_parts import Picture, View
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.views.shown_controls import camera_poses, with_shown
from pgc.optimization.views.told_light import told_light
from pgc.randomness import generator_for, numpy_generator_for
from pgc.rendering.compositing import composite
from pgc.rendering.light import ViewedLight
from pgc.rendering.raster.gbuffer import surface_points
from pgc.rendering.shading import unlit

__all__ = ["RunViews"]


class RunViews:
    """Makes a run's views and pictures. All that is random in them depends on the seed and a number alone."""

    def __init__(self, scene: Scene, guidance: Guidance, prompt: Prompt, config: OptimizeConfig) -> None:
        self.scene, self.guidance, self.prompt, self.config = scene, guidance, prompt, config
        # All at once, before the first step: text encoders may have to be fetched for each.
        texts = {name: prompt.of_view(name) for name in VIEW_NAMES}
        encoded = {text: guidance.encode_prompt([text]) for text in dict.fromkeys(texts.values())}
        self._embeddings = {name: encoded[text] for name, text in texts.items()}
        self._negative = guidance.encode_prompt([prompt.negative], negative=True)

    def draw(self, index: int, step: int) -> View:
        """Draws cameras and backgrounds of step `index` of distillation, and the light of the run's step `step`."""
        config = self.config
        cameras = self.scene.cameras.sample(config.views, numpy_generator_for(config.seed, index, "cameras"))
        lighting, lights = self.scene.lighting, StepLights(render=None, reference=None)
        if lighting is not None:
            lights = lighting.draw(cameras, generator_for(config.seed, step, "lighting"))
        return self.look(cameras, self._background(index), lights)

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

    def picture(self, view: View, watch: Stopwatch) -> Picture:
        """Renders the texels as they are, with the gradients that the caller has on."""
        with watch.stage("fetch"):
            material = self.scene.texture.sample(view.points)
        with watch.stage("shade"):
            return Picture(view=view, material=material, image=self._shade(view, material, view.lights.render))

    @torch.no_grad()
    def flat_picture(self, view: View) -> Picture:
        """Renders base colour as it is, without light and gradients."""
        material = self.scene.texture.sample(view.points)
        image = composite(unlit(view.gbuffer, material, None), view.gbuffer.coverage, view.background)
        return Picture(view=view, material=material, image=image)

    @torch.no_grad()
    def reference(self, view: View) -> Float[Tensor, "b 3 h w"] | None:
        """Renders what the oracle knows; None for all other priors."""
        if self.scene.reference is None:
            return None
        return self._shade(view, self.scene.reference.sample(view.points), view.lights.reference)

    def conditions(
        self, picture: Picture, reference: Float[Tensor, "b 3 h w"] | None, *, step: int, progress: float
    ) -> Conditions:
        """Says what the prior is told of pictures in the run's step `step`."""
        view = picture.view
        conditions = Conditions(
            prompt=PromptEmbedding.cat([self._embedding(camera) for camera in view.cameras]),
            negative=PromptEmbedding.cat([self._negative] * len(view.cameras)),
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

    def _embedding(self, camera: Camera) -> PromptEmbedding:
        """The prompt for where this camera stands."""
        return self._embeddings[view_name(camera, self.prompt.front_axis)]

    def _background(self, index: int) -> Float[Tensor, "b 3 1 1"]:
        if not self.config.background.random:
            return torch.tensor(self.config.background.color)[None, :, None, None].expand(self.config.views, 3, 1, 1)
        generator = generator_for(self.config.seed, index, "background")
        return torch.rand((self.config.views, 3, 1, 1), generator=generator)
