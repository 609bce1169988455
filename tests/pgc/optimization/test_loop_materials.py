# SPDX-License-Identifier: Apache-2.0
"""The loop with light, penalties on texels and averaged iterates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.sampling import SphereCameraSampler
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.lighting.base import StepLights
from pgc.mesh import TriangleMesh, load_mesh, prepare_mesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.prefilter import PrefilteredEnvironment
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from pgc.texture.field import BakedTexture
from pgc.texture.finished_texture import FinishedTexture
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

CONFIG = OptimizeConfig(steps=6, views=1, resolution=24, learning_rate=0.05)


DARK = PrefilteredEnvironment(
    name="nobody looks",
    height=1,
    atlas=torch.zeros(3, 1, 1),
    brdf_lut=torch.zeros(2, 1, 1),
    lobe_table=torch.zeros(1, 1, 1),
)


def light_of(factor: float) -> ViewedLight:
    return ViewedLight(light=Light(environment=DARK, exposure=factor), eye=torch.zeros(1, 3))


class Brightness:
    """Light that is one factor: drawn for the render, and half of it for the reference."""

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def draw(self, cameras: Sequence[Camera], generator: torch.Generator) -> StepLights:
        factor = float(0.5 + 0.5 * torch.rand(1, generator=generator))
        self.drawn.append(factor)
        return StepLights(render=light_of(factor), reference=light_of(0.5 * factor))


def dimmed(gbuffer: GBuffer, material: Mapping[str, Tensor], light: ViewedLight | None = None) -> Tensor:
    assert light is not None
    return material["base_color"] * light.light.exposure


class Darkening:
    """A penalty that knows one thing: texels should be dark."""

    def __init__(self, texture: TexelPyramid, weight: float) -> None:
        self.texture, self.weight = texture, weight
        self.asked: list[tuple[int, float]] = []

    def penalty(self, step: int, progress: float) -> Tensor | None:
        self.asked.append((step, progress))
        texels = self.texture.texels("base_color", 0)[0]
        return None if texels is None or not self.weight else self.weight * texels.mean()


@pytest.fixture
def triangles(cube_obj: Path) -> TriangleMesh:
    return prepare_mesh(load_mesh(cube_obj)).triangles


def start(
    triangles: TriangleMesh, config: OptimizeConfig = CONFIG, *, weight: float | None = None, lit: bool = False
) -> Optimization:
    texture = TexelPyramid(triangles, TexelPyramidConfig(texture_size=32, start_size=32))
    image = torch.tensor((0.8, 0.3, 0.1))[:, None, None].expand(3, 32, 32).contiguous()
    scene = Scene(
        rasterizer=WarpRasterizer(triangles, device=torch.device("cpu")),
        texture=texture,
        cameras=SphereCameraSampler(),
        reference=FinishedTexture(BakedTexture(maps={"base_color": [image]})),
        penalty=None if weight is None else Darkening(texture, weight),
    )
    if lit:
        scene = replace(scene, shade=dimmed, lighting=Brightness())
    return Optimization(
        scene, OracleGuidance(OracleConfig(image_size=24), torch.device("cpu")), Prompt(text=""), config
    )


def finish(run: Optimization) -> Tensor:
    for _ in run.steps():
        pass
    return run.scene.texture.bake().maps["base_color"][0]


@pytest.mark.slow
def test_render_and_reference_each_get_their_light(triangles: TriangleMesh) -> None:
    """The reference is half as bright, so that texels become half of what the oracle's material is."""
    run = start(triangles, replace(CONFIG, steps=120, coarse_to_fine=0.0), lit=True)
    inside = torch.from_numpy(run.scene.texture.surfaces[0].inside)  # pyright: ignore[reportAttributeAccessIssue]
    error = finish(run) - torch.tensor((0.4, 0.15, 0.05))[:, None, None]
    assert float(error[:, inside].abs().mean()) < 0.03
    lighting = run.scene.lighting
    assert isinstance(lighting, Brightness)
    assert len(set(lighting.drawn)) == 120, "light is drawn anew for every step"


@pytest.mark.slow
def test_the_light_of_a_step_depends_on_seed_and_step_alone(triangles: TriangleMesh) -> None:
    first, second = start(triangles, lit=True), start(triangles, lit=True)
    finish(first)
    finish(second)
    assert isinstance(first.scene.lighting, Brightness)
    assert isinstance(second.scene.lighting, Brightness)
    assert first.scene.lighting.drawn == second.scene.lighting.drawn


@pytest.mark.slow
def test_a_penalty_pulls_and_its_absence_changes_no_bit(triangles: TriangleMesh) -> None:
    plain, silent, loud = start(triangles), start(triangles, weight=0.0), start(triangles, weight=3.0)
    textures = [finish(run) for run in (plain, silent, loud)]
    assert torch.equal(textures[0], textures[1])
    assert float(textures[2].mean()) < float(textures[0].mean()) - 0.05
    assert isinstance(silent.scene.penalty, Darkening)
    assert silent.scene.penalty.asked == [(step, step / 6) for step in range(6)]


@pytest.mark.slow
def test_a_run_ends_with_the_mean_of_its_last_iterates(triangles: TriangleMesh) -> None:
    config = replace(CONFIG, average_from=0.5)
    plain, averaged = start(triangles), start(triangles, config)
    iterates = []
    for result in plain.steps():
        if result.step > 3:
            iterates.append([parameter.detach().clone() for parameter in plain.scene.texture.parameters()])
    finish(averaged)
    for index, parameter in enumerate(averaged.scene.texture.parameters()):
        expected = torch.stack([iterate[index] for iterate in iterates]).mean(dim=0)
        torch.testing.assert_close(parameter.detach(), expected, atol=1e-6, rtol=1e-5)
    assert len(iterates) == 3


@pytest.mark.slow
@pytest.mark.parametrize("stop", [2, 4, 5])
def test_resumed_equals_uninterrupted_with_an_average(triangles: TriangleMesh, tmp_path: Path, stop: int) -> None:
    config = replace(CONFIG, average_from=0.5)
    whole = finish(start(triangles, config, lit=True))
    first = start(triangles, config, lit=True)
    while first.step < stop:
        first.advance()
    save_checkpoint(tmp_path / "run.safetensors", *first.state_dict())
    second = start(triangles, config, lit=True)
    second.load_state_dict(*load_checkpoint(tmp_path / "run.safetensors"))
    assert torch.equal(finish(second), whole)
