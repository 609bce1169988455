# SPDX-License-Identifier: Apache-2.0
"""The loop tells the light of its pictures to a prior that was trained for it, and to no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.cameras.sampling import SphereCameraSampler
from pgc.guidance.base import Conditions, NoisePrediction
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.lighting.environments import EnvironmentLighting
from pgc.mesh import TriangleMesh, load_mesh, prepare_mesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.rendering.environment import colored_key, prefilter
from pgc.rendering.known_materials import SHADING_CHANNELS, known_shading_of
from pgc.rendering.pbr_shading import pbr_shade
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.rendering.shading import unlit
from pgc.texture.field import BakedTexture
from pgc.texture.finished_texture import FinishedTexture
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

CPU = torch.device("cpu")


class Listener(OracleGuidance):
    """Keeps what it was told."""

    takes_shading = True

    def __init__(self) -> None:
        super().__init__(OracleConfig(image_size=24), CPU)
        self.heard: list[Tensor | None] = []

    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        self.heard.append(conditions.shading)
        return super().predict_noise(noisy_latents, timestep, conditions)


class Deaf(Listener):
    takes_shading = False


@pytest.fixture
def triangles(cube_obj: Path) -> TriangleMesh:
    return prepare_mesh(load_mesh(cube_obj)).triangles


def run(triangles: TriangleMesh, guidance: Listener, *, lit: bool) -> Optimization:
    scene = Scene(
        rasterizer=WarpRasterizer(triangles, device=CPU),
        texture=TexelPyramid(triangles, TexelPyramidConfig(texture_size=32, start_size=32)),
        cameras=SphereCameraSampler(),
        shade=pbr_shade if lit else unlit,
        lighting=EnvironmentLighting([prefilter(colored_key())]) if lit else None,
        reference=FinishedTexture(BakedTexture(maps={"base_color": [torch.full((3, 32, 32), 0.6)]})),
    )
    config = OptimizeConfig(steps=2, views=2, resolution=24, learning_rate=0.05)
    done = Optimization(scene, guidance, Prompt(text=""), config)
    for _ in done.steps():
        pass
    return done


@pytest.mark.slow
def test_the_light_of_the_picture_is_told(triangles: TriangleMesh) -> None:
    listener = Listener()
    done = run(triangles, listener, lit=True)
    assert len(listener.heard) == 2
    first, second = listener.heard
    assert first is not None
    assert second is not None
    assert first.shape == (2, SHADING_CHANNELS, 24, 24)
    assert not torch.equal(first, second)
    # Seeds make the first step's view again.
    done.step = 0
    view = done.views.draw(0, 0)
    assert torch.equal(first, known_shading_of(view.gbuffer, view.lights.render))


@pytest.mark.slow
@pytest.mark.parametrize(("guidance", "lit"), [(Deaf, True), (Deaf, False), (Listener, False)])
def test_nobody_else_is_told(triangles: TriangleMesh, guidance: type[Listener], lit: bool) -> None:
    listener = guidance()
    run(triangles, listener, lit=lit)
    assert listener.heard == [None, None]
