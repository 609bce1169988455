# SPDX-License-Identifier: Apache-2.0
"""A run that several processes share is the run of one. Here processes are threads; `tests/e2e` has real ones."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
import torch
import trimesh
from torch import Tensor

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, PromptEmbedding
from pgc.guidance.oracle import ConvolutionEncoderConfig, OracleConfig, OracleGuidance, OracleNoise
from pgc.mesh import TriangleMesh, load_mesh, prepare_mesh
from pgc.optimization.config import EncoderGradientConfig, OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.ranks import Ranks, SharedGuidance, share
from pgc.optimization.scene import Scene
from pgc.optimization.warm_start_config import WarmStartConfig
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.field import BakedTexture
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

CPU = torch.device("cpu")
CONFIG = OptimizeConfig(steps=4, views=2, resolution=16, learning_rate=0.1, distillation=SDSConfig(guidance_scale=7.5))


@dataclass
class Meeting:
    """Where threads lay down what they have, and take up what all have."""

    count: int
    laid: dict[int, list[Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.count, timeout=60)

    def exchange(self, rank: int, tensors: list[Tensor]) -> list[list[Tensor]]:
        self.laid[rank] = [tensor.detach().clone() for tensor in tensors]
        self.barrier.wait()
        found = [self.laid[rank] for rank in range(self.count)]
        self.barrier.wait()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRanks(Ranks):
    """Ranks that are threads of one process."""

    meeting: Meeting

    def gathered(self, part: Tensor, views: int) -> Tensor:
        found = torch.cat([tensors[0] for tensors in self.meeting.exchange(self.rank, [part])])
        assert len(found) == views
        return found

    def average(self, tensors: Iterable[Tensor]) -> None:
        mine = list(tensors)
        assert mine
        for tensor, *others in zip(mine, *self.meeting.exchange(self.rank, mine), strict=True):
            tensor.copy_(torch.stack(others).mean(dim=0))


@pytest.fixture(scope="module")
def triangles(tmp_path_factory: pytest.TempPathFactory) -> TriangleMesh:
    path = tmp_path_factory.mktemp("mesh") / "cube.obj"
    trimesh.creation.box().export(path)
    return prepare_mesh(load_mesh(path)).triangles


@pytest.fixture(scope="module")
def rasterizer(triangles: TriangleMesh) -> Rasterizer:
    return WarpRasterizer(triangles, device=CPU)


def _texture(triangles: TriangleMesh, image: Tensor | None = None) -> TexelPyramid:
    initial = None if image is None else BakedTexture(maps={"base_color": [image]}, tiles=(1001,))
    return TexelPyramid(triangles, TexelPyramidConfig(texture_size=32), initial=initial, device=CPU)


def _start(triangles: TriangleMesh, rasterizer: Rasterizer, oracle: OracleConfig, config: OptimizeConfig):
    truth = torch.rand((3, 32, 32), generator=torch.Generator().manual_seed(3))
    scene = Scene(
        rasterizer=rasterizer,
        texture=_texture(triangles),
        cameras=SphereCameraSampler(SphereSamplerConfig(focal=(0.7, 0.7), distance=(2.5, 2.5))),
        reference=_texture(triangles, truth),
    )
    return Optimization(scene, OracleGuidance(oracle, device=CPU), Prompt(text="known"), config)


def _finished(run: Optimization) -> dict[str, Tensor]:
    images = [result.image for result in run.steps()]
    return {**run.state_dict()[0], "last image": images[-1]}


def _shared(make, count: int, *, view_by_view: bool) -> list[dict[str, Tensor]]:
    meeting, ends, failures = Meeting(count), {}, []

    def follow(rank: int) -> None:
        try:
            run = make()
            if view_by_view:
                run.encode_view_by_view()
            share(run, ThreadRanks(rank=rank, count=count, device=CPU, meeting=meeting))
            ends[rank] = _finished(run)
        except BaseException as error:
            failures.append(error)
            meeting.barrier.abort()
            raise

    threads = [threading.Thread(target=follow, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    return [ends[rank] for rank in range(count)]


NOISY = OracleConfig(image_size=16, encoder=ConvolutionEncoderConfig(), noise=OracleNoise(grid=4))
SAMPLED = EncoderGradientConfig(posterior="sample")
CASES = {
    "a noisy prior, an encoder with a gradient": (NOISY, CONFIG, 2),
    "three views for two, sampled": (NOISY, replace(CONFIG, views=3, encoder_gradient=SAMPLED), 2),
    "a warm start, whose last views are fewer than the processes": (
        OracleConfig(image_size=16, noise=OracleNoise(grid=4)),
        replace(CONFIG, steps=1, views=3, warm_start=WarmStartConfig(views=4, steps=2, guidance_scale=1.0)),
        2,
    ),
    "three processes": (NOISY, replace(CONFIG, views=4), 3),
    "a residual in the image, several updates": (
        OracleConfig(image_size=16, noise=OracleNoise(grid=4)),
        replace(CONFIG, updates=2, distillation=HiFAConfig(image_weight=0.5)),
        2,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "view_by_view"),
    [*((name, False) for name in CASES), *((name, True) for name in list(CASES)[:2])],
)
def test_shared_equals_alone(triangles: TriangleMesh, rasterizer: Rasterizer, name: str, view_by_view: bool) -> None:
    oracle, config, count = CASES[name]

    def make() -> Optimization:
        # The cache of a rasteriser is no business of several threads.
        own = WarpRasterizer(triangles, device=CPU)
        return _start(triangles, own, oracle, config)

    alone = make()
    if view_by_view:
        alone.encode_view_by_view()
    expected = _finished(alone)
    before = _start(triangles, rasterizer, oracle, config).state_dict()[0]
    assert any(not torch.equal(expected[key], value) for key, value in before.items()), "nothing was learnt"
    for end in _shared(make, count, view_by_view=view_by_view):
        assert end.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(end[key], value, rtol=0.0, atol=1e-6, msg=key)


def test_views_are_shared_out_evenly_and_each_once() -> None:
    for views in range(1, 9):
        for count in range(1, views + 1):
            shares = [Ranks(rank=rank, count=count, device=CPU).of(views) for rank in range(count)]
            assert [view for first, last in shares for view in range(first, last)] == list(range(views))
            sizes = [last - first for first, last in shares]
            assert max(sizes) - min(sizes) <= 1
            assert min(sizes) > 0


def test_each_process_asks_the_prior_about_its_own_views_only() -> None:
    asked: list[tuple[int, ...]] = []

    class Watched(OracleGuidance):
        def predict_noise(self, noisy_latents, timestep, conditions):
            assert conditions.among is not None
            asked.append((len(noisy_latents), len(timestep), conditions.prompt.batch, *conditions.among))
            return super().predict_noise(noisy_latents, timestep, conditions)

    prior, alone = Watched(OracleConfig(image_size=8), CPU), Ranks(rank=1, count=2, device=CPU)
    shared = SharedGuidance(prior, alone)
    assert (shared.name, shared.image_size, shared.device) == (prior.name, 8, CPU)
    latents, timestep = prior.encode_image(torch.rand(3, 3, 8, 8)), torch.tensor([10, 20, 30])
    prompt = prior.encode_prompt(["a", "b", "c"])
    conditions = Conditions(prompt=prompt, negative=prompt, truth_image=torch.rand(3, 3, 8, 8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ranks, "gathered", lambda self, part, views: part)
        answer = shared.predict_noise(latents, timestep, conditions)
    assert asked == [(2, 2, 2, 1, 3)]
    whole = prior.predict_noise(latents, timestep, replace(conditions, among=(0, 3)))
    torch.testing.assert_close(answer.cond, whole.cond[1:])


def test_conditions_of_some_views_are_their_rows() -> None:
    prompt = PromptEmbedding(hidden_states=torch.arange(3.0)[:, None, None])
    depth = torch.arange(3.0)[:, None, None, None] + 1.0
    reference = torch.rand(1, 3, 4, 4)
    whole = Conditions(prompt=prompt, negative=prompt, depth=depth, mask=depth > 0, reference=reference, progress=0.5)
    part = whole.of_views(1, 3)
    assert part.prompt.hidden_states.flatten().tolist() == [1.0, 2.0]
    assert part.depth is not None
    assert part.depth.flatten().tolist() == [2.0, 3.0]
    assert part.reference is reference
    assert (part.progress, part.among, part.picture) == (0.5, (1, 3), None)


def test_what_cannot_be_shared_is_refused(triangles: TriangleMesh, rasterizer: Rasterizer) -> None:
    run = _start(triangles, rasterizer, OracleConfig(image_size=16), CONFIG)
    with pytest.raises(ConfigError, match="3 processes are to share 2 views a step"):
        share(run, Ranks(rank=0, count=3, device=CPU))

    class Learning:
        needs_encoder_gradient, has_image_target = True, False

        def gradient(self, latents, guidance, conditions, *, progress, generator):
            raise NotImplementedError

        def state_dict(self):
            return {}

        def load_state_dict(self, tensors):
            """Takes nothing."""

    run.loss = Learning()
    with pytest.raises(ConfigError, match="trains a network of its own"):
        share(run, Ranks(rank=0, count=2, device=CPU))
