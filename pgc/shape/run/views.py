# SPDX-License-Identifier: Apache-2.0
"""A step's pictures of a shape, and what the teacher is told of them: the loop's subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.staged import ProgressingSampler
from pgc.distillation.build import DistillationConfig, has_image_target
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance
from pgc.lighting.base import StepLights
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.map_gradients import Baseline
from pgc.optimization.step_parts import Picture, View
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.views.prompts import ViewPrompts
from pgc.optimization.views.run_views import drawn_background
from pgc.optimization.views.shown_controls import camera_poses, with_shown
from pgc.randomness import generator_for, numpy_generator_for
from pgc.rendering.raster.gbuffer import GBuffer, surface_points
from pgc.shape.geometry.base import Geometry
from pgc.shape.geometry.uniform_adam import UniformAdam
from pgc.shape.rendering.moving_mesh import MovingMesh
from pgc.shape.rendering.renderer import Sight
from pgc.shape.run.pictures import PictureKind, latent_picture, shape_picture
from pgc.shape.run.scene import ShapeScene

__all__ = ["ShapeViews"]


class ShapeViews:
    """`pgc.optimization.views.subject.Subject` of a shape."""

    baseline: Baseline = "render"
    likeness: Tensor | None = None

    def __init__(self, scene: ShapeScene, guidance: Guidance, prompt: Prompt, config: OptimizeConfig) -> None:
        self.scene, self.guidance, self.config = scene, guidance, config
        for kind, loss in {"normal": config.distillation, **scene.losses}.items():
            if kind == "normal" and scene.pictures.latents_until and has_image_target(loss):
                raise ConfigError(
                    f"latents_until is {scene.pictures.latents_until}, but {type(loss).__name__} compares pictures, "
                    "and latents are none; use 0, or another loss for normals."
                )
        self._prompts = ViewPrompts(guidance, prompt)
        self._fresh: tuple[View, Sight] | None = None
        """What `draw` saw, until `pictures` takes it: a graph serves once."""
        self._as_latents = False
        self._known: tuple[View, Sight] | None = None
        """The known shape as the last view showed it: a step's pictures have it in common."""

    @property
    def learnt(self) -> Geometry:
        """The geometry."""
        return self.scene.geometry

    @property
    def other_losses(self) -> Mapping[str, DistillationConfig]:
        """Those of single kinds of pictures."""
        return {kind: loss for kind, loss in self.scene.losses.items()}

    def optimizer(self, config: OptimizeConfig, *, fused: bool) -> torch.optim.Optimizer:
        """Builds the optimiser that geometries ask for; it has no fused form."""
        groups = self.scene.geometry.parameter_groups(config.learning_rate)
        return UniformAdam(groups, betas=config.betas, epsilon=config.epsilon)

    def set_progress(self, progress: float, live: float) -> None:
        """Sets where the cameras stand, and whether normals are latents yet."""
        self._as_latents = progress < self.scene.pictures.latents_until
        if isinstance(self.scene.cameras, ProgressingSampler):
            self.scene.cameras.set_progress(progress)

    def penalty(self, index: int, progress: float) -> Float[Tensor, ""] | None:
        """Returns what is unlikely of the shape. Of a mesh of its own: the pictures' graph is gone by then."""
        geometry = self.scene.geometry
        if not geometry.penalized:
            # Vertices cost a sparse solve.
            return None
        value = geometry.penalty(geometry.mesh())
        return value if value.requires_grad else None

    def draw(self, index: int, step: int) -> View:
        """Draws cameras and backgrounds, and looks at the shape as it is."""
        config = self.config
        cameras = self.scene.cameras.sample(config.views, numpy_generator_for(config.seed, index, "cameras"))
        sight = self._look(self.scene.geometry.mesh(), cameras)
        view = _view(cameras, sight, drawn_background(config, index))
        self._fresh = view, sight
        return view

    def pictures(self, view: View, watch: Stopwatch) -> list[Picture]:
        """Renders each kind of picture that is shown."""
        with watch.stage("rasterize"):
            if self._fresh is not None and self._fresh[0] is view:
                sight = self._fresh[1]
            else:
                sight = self._look(self.scene.geometry.mesh(), view.cameras)
            self._fresh = None
        with watch.stage("shade"):
            shown = [self._picture(kind, view, sight) for kind in self.scene.shown]
        with watch.stage("rasterize"):
            return [*shown, *self._compared(view)]

    def _compared(self, view: View) -> list[Picture]:
        """Renders the view of which there is a picture; before the background of the step's first view."""
        known = self.scene.reference_view
        if known is None:
            return []
        sight = self._look(self.scene.geometry.mesh(), [known.camera])
        own = _view([known.camera], sight, view.background[:1])
        covered = sight.antialias(sight.gbuffer.mask.to(sight.normal))
        return known.pictures(own, self._shown("rgb", own, sight), covered)

    @torch.no_grad()
    def reference(self, picture: Picture) -> Float[Tensor, "b 3 h w"] | None:
        """Renders the known shape in place of the learnt one."""
        if self.scene.reference is None:
            return None
        if self._known is None or self._known[0] is not picture.view:
            self._known = picture.view, self._look(self.scene.reference, picture.view.cameras)
        return self._shown(_kind(picture), picture.view, self._known[1])

    def conditions(
        self, picture: Picture, reference: Float[Tensor, "b 3 h w"] | None, *, step: int, progress: float
    ) -> Conditions:
        """Says what the prior is told of a picture."""
        view = picture.view
        shown = self._shown_buffer(view)
        conditions = Conditions(
            prompt=self._prompts.of(view.cameras),
            negative=self._prompts.negative_of(view.cameras),
            depth=shown.depth,
            mask=shown.mask,
            truth_image=reference,
            camera_to_world=camera_poses(view.cameras),
            surface=view.points,
            progress=progress,
            generator=generator_for(self.config.seed, step, f"conditions{picture.name}"),
        )
        if self.scene.reference_view is not None:
            conditions = self.scene.reference_view.told(conditions, self.guidance)
        return with_shown(conditions, self.guidance, self.scene, replace(picture, view=replace(view, gbuffer=shown)))

    def _shown_buffer(self, view: View) -> GBuffer:
        """What ControlNets are shown."""
        if self.scene.held is None:
            return view.gbuffer
        with torch.no_grad():
            return self._look(self.scene.held, view.cameras).gbuffer

    def _look(self, mesh: MovingMesh, cameras: Sequence[Camera]) -> Sight:
        side = self.config.resolution
        return self.scene.renderer.look(mesh, cameras, (side, side))

    def _picture(self, kind: PictureKind, view: View, sight: Sight) -> Picture:
        if kind == "normal" and self._as_latents:
            image = latent_picture(sight, view.cameras)
            return Picture(view=view, material={}, image=image, name=kind, stands_for_latents=True)
        return Picture(view=view, material={}, image=self._shown(kind, view, sight), name=kind)

    def _shown(self, kind: PictureKind, view: View, sight: Sight) -> Float[Tensor, "b 3 h w"]:
        return shape_picture(kind, sight, view.cameras, view.background, self.scene.pictures)


def _view(cameras: Sequence[Camera], sight: Sight, background: Float[Tensor, "b 3 1 1"]) -> View:
    return View(
        cameras=list(cameras),
        gbuffer=sight.gbuffer,
        points=surface_points(sight.gbuffer),
        covered=sight.gbuffer.mask,
        background=background.to(sight.normal),
        lights=StepLights(render=None, reference=None),
    )


def _kind(picture: Picture) -> PictureKind:
    return "normal" if picture.name == "normal" else "rgb"
