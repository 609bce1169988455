# SPDX-License-Identifier: Apache-2.0
"""A warm start on the oracle: it paints what the prior wants, resumes bit for bit, and keeps what it must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
import trimesh

from pgc.cameras import Camera
from pgc.cameras.rigs import CameraRig
from pgc.distillation.ddim import trailing_timesteps
from pgc.distillation.sds import SDSConfig
from pgc.errors import ConfigError, GuidanceError
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.mesh import PreparedMesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.warm_start_config import WarmStartConfig
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs.prepared import start_optimization
from pgc.runs.scene_building import SourceTextures
from pgc.runs.settings.presets import RunSettings, with_hash_grid
from pgc.texture.field import BakedTexture
from pgc.texture.texel_config import TexelPyramidConfig
from server.recipes.cameras import FixedViews
from tests.pgc.optimization.warm_start.shapes import prepared

SIZE = 32
CPU = torch.device("cpu")
WARM = WarmStartConfig(views=6, steps=3, guidance_scale=1.0)
CONFIG = OptimizeConfig(
    steps=2, views=2, resolution=48, learning_rate=0.01, distillation=SDSConfig(guidance_scale=1.0), warm_start=WARM
)
TRUTH = (0.8, 0.3, 0.1)


@pytest.fixture(scope="module")
def ball() -> PreparedMesh:
    return prepared(trimesh.creation.icosphere(subdivisions=2, radius=0.7))


@pytest.fixture(scope="module")
def rasterizer(ball: PreparedMesh) -> Rasterizer:
    return WarpRasterizer(ball.triangles, device=CPU)


def plain(color: tuple[float, float, float]) -> BakedTexture:
    image = torch.tensor(color)[:, None, None].expand(3, SIZE, SIZE).contiguous()
    return BakedTexture(maps={"base_color": [image]}, tiles=(1001,))


def start(
    ball: PreparedMesh,
    rasterizer: Rasterizer,
    config: OptimizeConfig = CONFIG,
    initial: BakedTexture | None = None,
    lock_mask: list[torch.Tensor] | None = None,
) -> Optimization:
    settings = RunSettings(optimize=config, texture=TexelPyramidConfig(texture_size=SIZE))
    sources = SourceTextures(oracle=plain(TRUTH), initial=initial, lock_mask=lock_mask)
    guidance = OracleGuidance(OracleConfig(), device=CPU)
    return start_optimization(ball, Prompt(text="known"), settings, guidance, sources=sources, rasterizer=rasterizer)


def mean_color(run: Optimization) -> torch.Tensor:
    return run.scene.texture.bake().maps["base_color"][0].mean(dim=(1, 2))


@pytest.mark.slow
def test_the_texels_are_what_the_prior_wants_before_the_first_gradient(
    ball: PreparedMesh, rasterizer: Rasterizer
) -> None:
    run = start(ball, rasterizer)
    results = [run.advance() for _ in range(WARM.steps)]
    assert [(result.step, result.steps, result.timesteps) for result in results] == [
        (1, 5, (989,)),
        (2, 5, (659,)),
        (3, 5, (329,)),
    ]
    assert all(result.gradient is None and result.image_gradient is None for result in results)
    assert torch.allclose(mean_color(run), torch.tensor(TRUTH), atol=0.02)
    assert run.scene.texture.bake().uncovered_fraction < 0.1
    rest = list(run.steps())
    shares = [result.share for result in [*results, *rest]]
    # Six views in each of three steps, then two in each of two.
    assert shares == [6 / 22, 12 / 22, 18 / 22, 20 / 22, 1.0]
    assert [result.step for result in rest] == [4, 5]
    assert all(result.gradient is not None for result in rest)
    assert run.regulation_summary()["steps"] == 2


def test_its_texture_shows_from_the_first_step_on(ball: PreparedMesh, rasterizer: Rasterizer) -> None:
    run = start(ball, rasterizer)
    run.advance()
    shown = run.scene.texture.preview(SIZE).maps["base_color"][0]
    assert float((shown - 0.5).abs().max()) > 0.1


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_run_stopped_at_any_step_goes_on_bit_for_bit(ball: PreparedMesh, rasterizer: Rasterizer, stop: int) -> None:
    whole = start(ball, rasterizer)
    for _ in whole.steps():
        pass
    stopped = start(ball, rasterizer)
    for _ in range(stop):
        stopped.advance()
    tensors, header = stopped.state_dict()
    assert any(name.startswith("warm.") for name in tensors) == (stop < WARM.steps)
    resumed = start(ball, rasterizer)
    resumed.load_state_dict({name: value.clone() for name, value in tensors.items()}, header)
    for _ in resumed.steps():
        pass
    for name, value in whole.state_dict()[0].items():
        assert torch.equal(value, resumed.state_dict()[0][name]), name


def test_how_many_views_go_together_changes_nothing_but_rounding(ball: PreparedMesh, rasterizer: Rasterizer) -> None:
    painted = []
    for views in (1, 4):
        run = start(ball, rasterizer, replace(CONFIG, views=views))
        for _ in range(WARM.steps):
            run.advance()
        painted.append(run.scene.texture.preview(SIZE).maps["base_color"][0])
    assert torch.allclose(painted[0], painted[1], atol=1e-4)


def test_locked_texels_keep_their_bytes(ball: PreparedMesh, rasterizer: Rasterizer) -> None:
    locked = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    locked[: SIZE // 2] = True
    run = start(ball, rasterizer, initial=plain((0.1, 0.2, 0.9)), lock_mask=[locked])
    for _ in run.steps():
        pass
    done = run.scene.texture.bake().to_uint8()["base_color"][0]
    before = plain((0.1, 0.2, 0.9)).to_uint8()["base_color"][0]
    assert torch.equal(done[:, locked], before[:, locked])
    assert not torch.equal(done[:, ~locked], before[:, ~locked])


def test_what_is_behind_the_mesh_does_not_reach_the_texels(ball: PreparedMesh, rasterizer: Rasterizer) -> None:
    run = start(ball, rasterizer)
    for _ in range(WARM.steps):
        run.advance()
    seen = run.scene.texture.preview(SIZE).maps["base_color"][0]
    covered = torch.from_numpy(run.scene.texture.surfaces[0].inside)  # pyright: ignore[reportAttributeAccessIssue]
    assert float((seen[:, covered] - torch.tensor(TRUTH)[:, None]).abs().max()) < 0.1


def test_a_hash_grid_has_no_texels_to_paint(ball: PreparedMesh) -> None:
    settings = with_hash_grid(RunSettings(texture=TexelPyramidConfig(texture_size=SIZE)), ("base_color",))
    settings = replace(settings, optimize=replace(settings.optimize, warm_start=WARM))
    with pytest.raises(ConfigError, match="HashGridTexture has none"):
        start_optimization(ball, Prompt(text="known"), settings, OracleGuidance(OracleConfig(), device=CPU))


def test_all_levels_are_live_after_a_warm_start() -> None:
    assert CONFIG.live_levels(0) == 1.0
    cold = replace(CONFIG, warm_start=None, steps=10, coarse_to_fine=0.5)
    assert [cold.live_levels(index) for index in (0, 2, 5, 9)] == [0.0, 0.4, 1.0, 1.0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"views": 0}, "warm_start.views is 0"),
        ({"steps": 0}, "warm_start.steps is 0"),
        ({"most_noise": 1.0}, "most_noise is 1.0"),
        ({"agree_above": -0.1}, "agree_above is -0.1"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan"),
        ({"grazing": -1.0}, "grazing is -1.0"),
        ({"focal": 0.0}, "focal is 0.0"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        WarmStartConfig(**changes)  # pyright: ignore[reportArgumentType]


def test_trailing_timesteps_start_where_they_are_told() -> None:
    assert trailing_timesteps(1000, 4) == [999, 749, 499, 249]
    assert trailing_timesteps(1000, 2, 0.5) == [499, 249]
    with pytest.raises(ConfigError, match="11 sampling steps"):
        trailing_timesteps(10, 11)


class Overflowing(OracleGuidance):
    """An autoencoder whose half precision overflows in a corner of every picture."""

    def decode_latents(self, latents: torch.Tensor) -> torch.Tensor:
        picture = super().decode_latents(latents).clone()
        corner = picture.shape[-1] // 4
        picture[:, :, :corner, :corner] = float("nan")
        return picture


def test_what_is_not_finite_leaves_the_texels_and_is_counted(ball: PreparedMesh, rasterizer: Rasterizer) -> None:
    settings = RunSettings(optimize=CONFIG, texture=TexelPyramidConfig(texture_size=SIZE))
    guidance = Overflowing(OracleConfig(), device=CPU)
    sources = SourceTextures(oracle=plain(TRUTH))
    run = start_optimization(ball, Prompt(text="known"), settings, guidance, sources=sources, rasterizer=rasterizer)
    run.advance()
    assert torch.isfinite(run.scene.texture.preview(SIZE).maps["base_color"][0]).all()
    assert run.warm is not None
    assert not run.warm.state_dict(), "the next step begins from the texels"
    # Pictures are resized: a pixel beside a spoilt one may be spoilt too.
    corner = CONFIG.resolution // 4
    assert WARM.views * corner**2 <= run.finite.summary()["pixels"] <= WARM.views * (corner + 2) ** 2  # pyright: ignore[reportOperatorIssue]


def test_a_prior_that_gives_nothing_finite_ends_the_run(ball: PreparedMesh, rasterizer: Rasterizer) -> None:
    settings = RunSettings(
        optimize=replace(CONFIG, warm_start=replace(WARM, steps=9)), texture=TexelPyramidConfig(texture_size=SIZE)
    )
    guidance = Overflowing(OracleConfig(), device=CPU)
    sources = SourceTextures(oracle=plain(TRUTH))
    run = start_optimization(ball, Prompt(text="known"), settings, guidance, sources=sources, rasterizer=rasterizer)
    with pytest.raises(GuidanceError, match="no finite gradient"):
        list(run.steps())


def test_chosen_views_are_those_of_the_warm_start(ball: PreparedMesh, rasterizer: Rasterizer) -> None:
    """A room that is painted from inside is not seen from a ring around it."""
    chosen = CameraRig.ring(3).cameras
    settings = RunSettings(optimize=CONFIG, texture=TexelPyramidConfig(texture_size=SIZE))
    sources = SourceTextures(oracle=plain(TRUTH))
    seen: list[Camera] = []

    class Watching:
        def render(self, cameras: Sequence[Camera], resolution: tuple[int, int]) -> GBuffer:
            seen.extend(cameras)
            return rasterizer.render(cameras, resolution)

    run = start_optimization(
        ball,
        Prompt(text="known"),
        settings,
        OracleGuidance(OracleConfig(), device=CPU),
        sources=sources,
        rasterizer=Watching(),
        cameras=FixedViews(chosen),
    )
    run.advance()
    assert {camera.key() for camera in seen} == {camera.key() for camera in chosen}


def test_texels_stay_where_no_view_sees_any(ball: PreparedMesh, rasterizer: Rasterizer) -> None:
    """From so far away that the mesh has no pixel whose neighbours are all its own."""
    run = start(ball, rasterizer, replace(CONFIG, warm_start=replace(WARM, distance=100.0)))
    for _ in range(WARM.steps):
        run.advance()
    assert torch.equal(run.scene.texture.preview(SIZE).maps["base_color"][0], torch.full((3, SIZE, SIZE), 0.5))


def test_a_smaller_plan_goes_on_from_what_is_on_the_mesh(ball: PreparedMesh, rasterizer: Rasterizer) -> None:
    run = start(ball, rasterizer)
    run.advance()
    tensors, header = run.state_dict()
    settings = RunSettings(optimize=CONFIG, texture=TexelPyramidConfig(texture_size=SIZE))
    small = OracleGuidance(OracleConfig(image_size=64), device=CPU)
    sources = SourceTextures(oracle=plain(TRUTH))
    smaller = start_optimization(ball, Prompt(text="known"), settings, small, sources=sources, rasterizer=rasterizer)
    smaller.load_state_dict(tensors, header)
    for _ in smaller.steps():
        pass
    assert torch.allclose(mean_color(smaller), torch.tensor(TRUTH), atol=0.05)
