# SPDX-License-Identifier: Apache-2.0
"""The loop on the oracle: it converges, it resumes bit for bit, and its guards fire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trimesh
from torch import Tensor

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.distillation.base import LatentGradient
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.errors import CheckpointError, ConfigError
from pgc.guidance.base import Conditions, Guidance
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.mesh import TriangleMesh, load_mesh, prepare_mesh
from pgc.optimization.config import BackgroundConfig, OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from pgc.texture.field import BakedTexture
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

CONFIG = OptimizeConfig(steps=12, views=2, resolution=32, learning_rate=0.1, distillation=SDSConfig(guidance_scale=7.5))
"""Small enough for a test. The guidance scale does not matter to the oracle."""


@pytest.fixture(scope="module")
def triangles(tmp_path_factory: pytest.TempPathFactory) -> TriangleMesh:
    path = tmp_path_factory.mktemp("mesh") / "cube.obj"
    box = trimesh.creation.box()
    # Each of the 12 triangles is a chart of its own, in a cell of a 4x4 grid.
    corners = ((0.04, 0.04), (0.21, 0.04), (0.04, 0.21))
    uv = [f"vt {i % 4 / 4 + u} {i // 4 / 4 + v}" for i in range(len(box.faces)) for u, v in corners]
    positions = [f"v {x} {y} {z}" for x, y, z in box.vertices]
    faces = [
        "f " + " ".join(f"{v + 1}/{3 * i + k + 1}" for k, v in enumerate(face)) for i, face in enumerate(box.faces)
    ]
    path.write_text("\n".join([*positions, *uv, *faces]))
    return prepare_mesh(load_mesh(path)).triangles


@pytest.fixture(scope="module")
def rasterizer(triangles: TriangleMesh) -> Rasterizer:
    return WarpRasterizer(triangles, device=torch.device("cpu"))


def texture(triangles: TriangleMesh, color: tuple[float, float, float] | None = None) -> TexelPyramid:
    config = TexelPyramidConfig(texture_size=32)
    initial = None
    if color is not None:
        image = torch.tensor(color)[:, None, None].expand(3, 32, 32).contiguous()
        initial = BakedTexture(maps={"base_color": [image]}, tiles=(1001,))
    return TexelPyramid(triangles, config, initial=initial, device=torch.device("cpu"))


def start(triangles: TriangleMesh, rasterizer: Rasterizer, config: OptimizeConfig = CONFIG) -> Optimization:
    scene = Scene(
        rasterizer=rasterizer,
        texture=texture(triangles),
        # Far enough away that a corner of the picture is background.
        cameras=SphereCameraSampler(SphereSamplerConfig(focal=(0.7, 0.7), distance=(2.5, 2.5))),
        reference=texture(triangles, (0.8, 0.3, 0.1)),
    )
    guidance = OracleGuidance(OracleConfig(), device=torch.device("cpu"))
    return Optimization(scene, guidance, Prompt(text="a known material"), config)


def state(run: Optimization) -> dict[str, Tensor]:
    return run.state_dict()[0]


def assert_same_state(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


@pytest.mark.slow
def test_the_texture_becomes_what_the_oracle_knows(triangles: TriangleMesh, rasterizer: Rasterizer) -> None:
    run = start(triangles, rasterizer, replace(CONFIG, steps=150))
    results = list(run.steps())
    assert [result.step for result in results] == list(range(1, 151))
    last = results[-1]
    assert set(last.seconds) == {"rasterize", "fetch", "shade", "guidance", "backward", "other"}
    inside = torch.as_tensor(run.scene.texture.surfaces[0].face_index) >= 0
    error = run.scene.texture.bake().maps["base_color"][0] - torch.tensor((0.8, 0.3, 0.1))[:, None, None]
    assert float(error[:, inside].square().mean().sqrt()) < 0.02
    assert float(error[:, inside].abs().max()) < 0.06


@pytest.mark.slow
def test_regulated_gradients_obey_the_threshold(triangles: TriangleMesh, rasterizer: Rasterizer) -> None:
    for result in start(triangles, rasterizer).steps():
        assert result.gradient.maximum_after <= CONFIG.regulation.threshold + 1e-6  # type: ignore[union-attr]


@pytest.mark.slow
def test_resumed_equals_uninterrupted(triangles: TriangleMesh, rasterizer: Rasterizer, tmp_path: Path) -> None:
    whole = start(triangles, rasterizer)
    for _ in whole.steps():
        pass
    for stop in (1, 5, 11):
        first = start(triangles, rasterizer)
        for result in first.steps():
            if result.step == stop:
                break
        save_checkpoint(tmp_path / "run.safetensors", *first.state_dict())
        second = start(triangles, rasterizer)
        second.load_state_dict(*load_checkpoint(tmp_path / "run.safetensors"))
        assert second.step == stop
        for _ in second.steps():
            pass
        assert_same_state(state(whole), state(second))


def test_another_seed_gives_another_texture(triangles: TriangleMesh, rasterizer: Rasterizer) -> None:
    first, second = start(triangles, rasterizer), start(triangles, rasterizer, replace(CONFIG, seed=1))
    first.advance()
    second.advance()
    assert any(not torch.equal(value, state(second)[key]) for key, value in state(first).items())


def test_a_checkpoint_of_other_settings_is_refused(triangles: TriangleMesh, rasterizer: Rasterizer) -> None:
    tensors, header = start(triangles, rasterizer).state_dict()
    other = start(triangles, rasterizer, replace(CONFIG, learning_rate=0.05))
    with pytest.raises(CheckpointError, match="other settings"):
        other.load_state_dict(tensors, header)


def test_background_random_and_plain(triangles: TriangleMesh, rasterizer: Rasterizer) -> None:
    corners = {
        random: start(
            triangles, rasterizer, replace(CONFIG, background=BackgroundConfig(random=random, color=(0.25, 0.5, 0.75)))
        )
        .advance()
        .image[:, :, 0, 0]
        for random in (True, False)
    }
    assert torch.equal(corners[False], torch.tensor([[0.25, 0.5, 0.75]] * 2))
    assert not torch.equal(corners[True][0], corners[True][1])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("steps", 0),
        ("views", 0),
        ("resolution", 0),
        ("learning_rate", 0.0),
        ("final_learning_rate", 1.5),
        ("warm_up", -0.1),
        ("coarse_to_fine", 2.0),
    ],
)
def test_settings_are_checked(setting: str, value: float) -> None:
    with pytest.raises(ConfigError, match=setting):
        OptimizeConfig(**{setting: value})  # type: ignore[arg-type]


def test_the_fingerprint_sees_every_setting() -> None:
    same = OptimizeConfig(steps=7)
    assert same.fingerprint() == OptimizeConfig(steps=7).fingerprint()
    assert same.fingerprint() != OptimizeConfig(steps=7, distillation=SDSConfig(guidance_scale=50.0)).fingerprint()


HIFA = replace(
    CONFIG, steps=6, learning_rate=0.02, distillation=HiFAConfig(guidance_scale=1.0, latent_weight=0.0), updates=3
)


@pytest.mark.slow
def test_more_updates_a_step_come_nearer_to_the_same_target(triangles: TriangleMesh, rasterizer: Rasterizer):
    errors = []
    for updates in (1, 3):
        run = start(triangles, rasterizer, replace(HIFA, updates=updates))
        first, last = [run.advance() for _ in range(HIFA.steps)][:: HIFA.steps - 1]
        # The first step's picture is that of the texture before any update; the views are those of the seed.
        assert torch.equal(first.image, start(triangles, rasterizer, HIFA).advance().image)
        errors.append(last.gradient.median_before)
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.slow
def test_a_run_with_several_updates_a_step_resumes_bit_for_bit(triangles: TriangleMesh, rasterizer: Rasterizer):
    whole, first, second = (start(triangles, rasterizer, HIFA) for _ in range(3))
    for _ in whole.steps():
        pass
    for _ in range(2):
        first.advance()
    second.load_state_dict(*first.state_dict())
    for _ in second.steps():
        pass
    assert_same_state(state(whole), state(second))


def test_several_updates_need_a_target_in_the_image(triangles: TriangleMesh, rasterizer: Rasterizer):
    with pytest.raises(ConfigError, match="SDSConfig gives no picture"):
        start(triangles, rasterizer, replace(CONFIG, updates=2))


class Recording:
    """Halves what it is given, and keeps it."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def regulate(self, gradient: Tensor, covered: Tensor) -> Tensor:
        self.seen.append(gradient.clone())
        return gradient / 2


def test_whatever_reaches_the_render_is_regulated_in_every_update(triangles: TriangleMesh, rasterizer: Rasterizer):
    both = HiFAConfig(guidance_scale=1.0, latent_weight=0.5)
    run = start(triangles, rasterizer, replace(HIFA, distillation=both))
    recording = Recording()
    run.regulation = recording
    through: list[Tensor] = []
    propagate = run.encoder.propagate

    class Listening:
        encode = staticmethod(run.encoder.encode)

        def propagate(self, *given: Tensor) -> Tensor:
            through.append(propagate(*given))
            return through[-1]

    run.encoder = Listening()  # type: ignore[assignment]
    result = run.advance()
    assert len(recording.seen) == 3, "one for each update"
    residual = recording.seen[0] - through[0]
    assert float(residual.abs().max()) > 1e-3
    assert float(through[0].abs().max()) > 1e-3
    target = result.image - residual
    for later in recording.seen[1:]:
        # Towards the same target, without the way through the encoder.
        assert float((later - residual).abs().max()) < 0.5
        assert float((later.abs() > 0).float().mean()) > 0.3
    assert bool(((target > -0.01) & (target < 1.01)).all()), "what is left is the prior's picture"
    norm = torch.linalg.vector_norm(recording.seen[0], dim=1)
    assert result.gradient.clipped_fraction == pytest.approx(1.0, abs=0.02), "halving counts as clipping"
    assert result.gradient.tail_after == pytest.approx(result.gradient.tail_before / 2, rel=1e-5)
    assert 0.0 < result.gradient.median_before < float(norm.max())


@pytest.mark.slow
def test_a_report_says_what_regulation_did_and_a_resumed_run_goes_on_counting(
    triangles: TriangleMesh, rasterizer: Rasterizer
):
    whole, first, second = (start(triangles, rasterizer) for _ in range(3))
    results = list(whole.steps())
    for _ in range(5):
        first.advance()
    second.load_state_dict(*first.state_dict())
    for _ in second.steps():
        pass
    summary = whole.regulation_summary()
    assert summary == second.regulation_summary()
    assert summary["gradients"] == ["through the encoder"]
    assert summary["method"] == CONFIG.regulation
    assert summary["steps"] == 12
    shares = [result.gradient.clipped_fraction for result in results]
    assert min(shares) <= summary["clipped_fraction"] <= max(shares) == summary["largest_clipped_fraction"]
    assert max(shares) > 0.0, "nothing was clipped: the test would be empty"
    residual = start(triangles, rasterizer, HIFA).regulation_summary()
    assert residual["gradients"] == ["residual in the image"]
    assert residual["steps"] == 0


class CountingLoss:
    """A loss that learns how often it was asked, and remembers what it was shown."""

    needs_encoder_gradient = True
    has_image_target = False

    def __init__(self) -> None:
        self.asked = torch.zeros(1)
        self.shown: list[Conditions] = []

    def gradient(
        self,
        latents: Tensor,
        guidance: Guidance,
        conditions: Conditions,
        *,
        progress: float,
        generator: torch.Generator,
    ) -> LatentGradient:
        del guidance, progress, generator
        self.asked += 1
        self.shown.append(conditions)
        times = torch.zeros(len(latents), dtype=torch.long)
        return LatentGradient(gradient=self.asked * latents, timestep=times, noise=latents, noise_pred=latents)

    def state_dict(self) -> dict[str, Tensor]:
        return {"asked": self.asked.clone()}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        self.asked = tensors["asked"].clone()


@pytest.mark.slow
def test_what_a_loss_has_learnt_is_in_the_checkpoint(triangles: TriangleMesh, rasterizer: Rasterizer) -> None:
    first, second, whole = (start(triangles, rasterizer) for _ in range(3))
    first.loss, second.loss, whole.loss = CountingLoss(), CountingLoss(), CountingLoss()
    for _ in range(2):
        first.advance()
    second.load_state_dict(*first.state_dict())
    for run, steps in ((second, 2), (whole, 4)):
        for _ in range(steps):
            run.advance()
    assert_same_state(state(second), state(whole))
    assert state(whole)["loss.asked"].tolist() == [4.0]


def test_a_loss_is_told_the_cameras_and_the_surface(triangles: TriangleMesh, rasterizer: Rasterizer) -> None:
    run = start(triangles, rasterizer)
    run.loss = loss = CountingLoss()
    run.advance()
    (shown,) = loss.shown
    assert shown.camera_to_world is not None
    # The cameras of this scene stand 2.5 from the origin.
    torch.testing.assert_close(shown.camera_to_world[:, :3, 3].norm(dim=1), torch.tensor([2.5, 2.5]))
    assert shown.surface is not None
    assert torch.equal(shown.surface.mask, shown.mask)
