# SPDX-License-Identifier: Apache-2.0
"""A step's picture of a volume, and what the teacher is told of it: the loop's subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.sampling import CameraSampler
from pgc.cameras.staged import ProgressingSampler
from pgc.distillation.build import DistillationConfig
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance
from pgc.lighting.base import StepLights
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.map_gradients import Baseline
from pgc.optimization.step_parts import Picture, View
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.views.prompts import ViewPrompts
from pgc.optimization.views.reference_view import ReferenceView
from pgc.optimization.views.run_views import drawn_background
from pgc.optimization.views.shown_controls import camera_normals, camera_poses, with_shown
from pgc.randomness import generator_for, numpy_generator_for
from pgc.rendering.compositing import composite
from pgc.rendering.raster.gbuffer import GBuffer, surface_points
from pgc.shape.rendering.moving_mesh import MovingMesh
from pgc.shape.rendering.renderer import ShapeRenderer
from pgc.volume.light.penalties import VolumePenaltyConfig, volume_penalty, with_penalty
from pgc.volume.light.shading import ShadingConfig, StepShading, drawn_shading, lit_color
from pgc.volume.volume import Volume, VolumeSight

__all__ = ["DepthConfig", "KnownShape", "VolumeScene", "VolumeViews"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthConfig:
    """Whether the teacher is shown the volume's own depth."""

    shown_from: float = 1.0
    """Part of the run from which on a ControlNet is shown it. 1: never, as Stable-DreamFusion and Magic3D have none."""
    blank: bool = False
    """Whether an empty picture stands for "not told" before that, as the built-in model was trained; otherwise the
    ControlNet is not asked."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.shown_from <= 1.0:
            raise ConfigError(f"depth.shown_from is {self.shown_from}; it must lie in [0, 1].")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownShape:
    """A shape that the oracle knows."""

    mesh: MovingMesh
    renderer: ShapeRenderer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeScene:
    """What is learnt, and from where it is seen."""

    volume: Volume
    cameras: CameraSampler
    shading: ShadingConfig = field(default_factory=ShadingConfig)
    penalties: VolumePenaltyConfig = field(default_factory=VolumePenaltyConfig)
    depth: DepthConfig = field(default_factory=DepthConfig)
    latents_until: float = 0.0
    """Part of the run in which normals and opacity, made small, are the latents themselves."""
    known: KnownShape | None = None
    """Handed to the oracle; None for every real prior."""
    reference_view: ReferenceView | None = None
    """A picture of the object that is to be found; it is compared with in each step. None: a prompt alone."""
    face_materials: Int[Tensor, " f"] | None = None
    likeness: Float[Tensor, "1 3 h w"] | None = None


class VolumeViews:
    """`pgc.optimization.views.subject.Subject` of a volume."""

    baseline: Baseline = "render"
    likeness: Tensor | None = None

    def __init__(self, scene: VolumeScene, guidance: Guidance, prompt: Prompt, config: OptimizeConfig) -> None:
        if scene.known is not None and scene.shading.lit:
            raise ConfigError("The oracle's picture of a known shape has no light; use shading.lit = 0 with it.")
        self.scene, self.guidance, self.config = scene, guidance, config
        self._prompts = ViewPrompts(guidance, prompt)
        self._fresh: tuple[View, VolumeSight] | None = None
        """What `draw` saw, until `pictures` takes it: a graph serves once."""
        self._index, self._progress = 0, 0.0

    @property
    def learnt(self) -> Volume:
        """The volume."""
        return self.scene.volume

    @property
    def other_losses(self) -> Mapping[str, DistillationConfig]:
        """None: there is one picture a step."""
        return {}

    def optimizer(self, config: OptimizeConfig, *, fused: bool) -> torch.optim.Optimizer:
        """Builds Adam over grid and network."""
        groups = self.learnt.parameter_groups(config.learning_rate)
        return torch.optim.Adam(groups, betas=config.betas, eps=config.epsilon, fused=fused)

    def set_progress(self, progress: float, live: float) -> None:
        """Sets where the cameras stand."""
        self._progress = progress
        if isinstance(self.scene.cameras, ProgressingSampler):
            self.scene.cameras.set_progress(progress)

    def penalty(self, index: int, progress: float) -> None:
        """Returns None: what is unlikely of a volume goes back with its pictures (`with_penalty`)."""

    def draw(self, index: int, step: int) -> View:
        """Draws cameras and backgrounds, and looks at the volume as it is."""
        config, self._index = self.config, index
        cameras = list(self.scene.cameras.sample(config.views, numpy_generator_for(config.seed, index, "cameras")))
        sight = self._look(cameras)
        view = _view(cameras, sight, drawn_background(config, index))
        self._fresh = view, sight
        return view

    def pictures(self, view: View, watch: Stopwatch) -> list[Picture]:
        """Returns the step's one picture."""
        with watch.stage("fetch"):
            fresh, self._fresh = self._fresh, None
            sight = fresh[1] if fresh is not None and fresh[0] is view else self._look(view.cameras)
        with watch.stage("shade"):
            as_latents = self._progress < self.scene.latents_until
            image = self._latents(view, sight) if as_latents else self._image(view, sight)
            shown = Picture(view=view, material={}, image=image, stands_for_latents=as_latents)
        with watch.stage("fetch"):
            return [shown, *self._compared(view)]

    def _compared(self, view: View) -> list[Picture]:
        """Renders the view of which there is a picture; before the background of the step's first view."""
        known = self.scene.reference_view
        if known is None:
            return []
        sight = self._look([known.camera])
        own = _view([known.camera], sight, view.background[:1])
        return known.pictures(own, sight.color + own.background * (1.0 - sight.opacity), sight.opacity)

    @torch.no_grad()
    def reference(self, picture: Picture) -> Float[Tensor, "b 3 h w"] | None:
        """Renders the known shape in place of the volume."""
        known, view = self.scene.known, picture.view
        if known is None:
            return None
        side = self.config.resolution
        sight = known.renderer.look(known.mesh, view.cameras, (side, side))
        covered = sight.gbuffer.mask.to(sight.color)
        return sight.antialias(composite(sight.color, covered, view.background.to(sight.color)))

    def conditions(
        self, picture: Picture, reference: Float[Tensor, "b 3 h w"] | None, *, step: int, progress: float
    ) -> Conditions:
        """Says what the prior is told of a picture."""
        view = picture.view
        depth, mask = self._told_depth(view.gbuffer, progress)
        conditions = Conditions(
            prompt=self._prompts.of(view.cameras),
            negative=self._prompts.negative_of(view.cameras),
            depth=depth,
            mask=mask,
            truth_image=reference,
            camera_to_world=camera_poses(view.cameras),
            surface=view.points,
            progress=progress,
            generator=generator_for(self.config.seed, step, "conditions"),
        )
        if self.scene.reference_view is not None:
            conditions = self.scene.reference_view.told(conditions, self.guidance)
        if depth is None:
            return conditions
        return with_shown(conditions, self.guidance, self.scene, replace(picture, view=self._with_normals(view)))

    def _told_depth(self, gbuffer: GBuffer, progress: float) -> tuple[Tensor | None, Tensor | None]:
        if progress >= self.scene.depth.shown_from:
            return gbuffer.depth, gbuffer.mask
        if self.scene.depth.blank:
            return torch.zeros_like(gbuffer.depth), torch.zeros_like(gbuffer.mask)
        return None, None

    @torch.no_grad()
    def _with_normals(self, view: View) -> View:
        place, mask = view.gbuffer.position.movedim(1, -1), view.gbuffer.mask[:, 0]
        normal = torch.zeros_like(place)
        normal[mask] = self.learnt.normals_at(place[mask])
        return replace(view, gbuffer=replace(view.gbuffer, normal=normal.movedim(-1, 1)))

    def _look(self, cameras: Sequence[Camera]) -> VolumeSight:
        generator = generator_for(self.config.seed, self._index, "looks")
        return self.learnt.look(cameras, self.config.resolution, generator)

    def _image(self, view: View, sight: VolumeSight) -> Float[Tensor, "b 3 h w"]:
        scene = self.scene
        shading = drawn_shading(scene.shading, self.config.seed, self._index, self._progress)
        facing = self._facing(sight, shading)
        color = lit_color(shading, scene.shading, sight.color, sight.opacity, facing)
        image = color + view.background * (1.0 - sight.opacity)
        return with_penalty(image, volume_penalty(scene.penalties, sight.opacity, facing))

    def _latents(self, view: View, sight: VolumeSight) -> Float[Tensor, "b 4 h w"]:
        """Normals and opacity as four channels of latents, as Stable-DreamFusion's first fifth has them after Metzer
        et al., "Latent-NeRF", CVPR 2023, and Chen et al., "Fantasia3D", ICCV 2023, section 3.2."""
        mask = sight.gbuffer.mask[:, 0]
        place = sight.place.movedim(1, -1)
        normals = torch.zeros_like(place).index_put((mask,), self.learnt.normals_at(place[mask])).movedim(-1, 1)
        turned = 0.5 * camera_normals(normals, camera_poses(view.cameras)) + 0.5
        image = torch.cat([turned * sight.opacity, sight.opacity], dim=1)
        facing = (normals * sight.toward).sum(dim=1, keepdim=True)
        facing = torch.where(sight.gbuffer.mask, facing, torch.ones_like(facing))
        return with_penalty(image, volume_penalty(self.scene.penalties, sight.opacity, facing))

    def _facing(self, sight: VolumeSight, shading: StepShading) -> Float[Tensor, "b 1 h w"] | None:
        """Cosine between normals and the way to the viewer, 1 where nothing is seen; None where nobody asks."""
        if shading == "plain" and not self.scene.penalties.orientation:
            return None
        mask = sight.gbuffer.mask[:, 0]
        normals = self.learnt.normals_at(sight.place.movedim(1, -1)[mask])
        cosine = (normals * sight.toward.movedim(1, -1)[mask]).sum(dim=-1)
        return torch.ones_like(sight.opacity[:, 0]).index_put((mask,), cosine)[:, None]


def _view(cameras: list[Camera], sight: VolumeSight, background: Float[Tensor, "b 3 1 1"]) -> View:
    return View(
        cameras=cameras,
        gbuffer=sight.gbuffer,
        points=surface_points(sight.gbuffer),
        # Any pixel may become more or less opaque.
        covered=torch.ones_like(sight.gbuffer.mask),
        background=background.to(sight.color),
        lights=StepLights(render=None, reference=None),
    )
