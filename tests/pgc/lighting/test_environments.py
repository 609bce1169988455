# SPDX-License-Identifier: Apache-2.0
"""Light drawn for every step: the same from the same generator, known or not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pgc.cameras import Camera
from pgc.errors import ConfigError
from pgc.lighting.base import Lighting
from pgc.lighting.environments import EnvironmentLighting, LightingConfig, eyes_of
from pgc.rendering.environment import overcast, studio
from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.prefilter import PrefilteredEnvironment, prefilter

VIEWS = [Camera.look_at(eye, focal=1.1) for eye in ((2.0, 0.0, 0.5), (0.0, -2.5, 0.0), (1.0, 1.0, 1.5))]


@pytest.fixture(scope="module")
def environments() -> list[PrefilteredEnvironment]:
    return [prefilter(studio()), prefilter(overcast())]


def _light(drawn: ViewedLight | None) -> Light:
    assert drawn is not None
    return drawn.light


def _numbers(light: Light) -> tuple[Tensor, Tensor]:
    assert isinstance(light.rotation, Tensor)
    assert isinstance(light.exposure, Tensor)
    return light.rotation, light.exposure


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_known_light_is_the_same_object(environments: list[PrefilteredEnvironment]) -> None:
    lighting = EnvironmentLighting(environments)
    assert isinstance(lighting, Lighting)
    drawn = lighting.draw(VIEWS, _generator(0))
    assert drawn.render is drawn.reference
    assert drawn.render is not None
    torch.testing.assert_close(drawn.render.eye, torch.tensor([[2, 0, 0.5], [0, -2.5, 0], [1, 1, 1.5]]).float())
    torch.testing.assert_close(drawn.render.eye, eyes_of(VIEWS))


def test_unknown_light_is_drawn_apart_and_leaves_the_render_as_it_is(
    environments: list[PrefilteredEnvironment],
) -> None:
    known = EnvironmentLighting(environments)
    unknown = EnvironmentLighting(environments, LightingConfig(reference="unknown"))
    others = 0
    for seed in range(12):
        first, second = known.draw(VIEWS, _generator(seed)), unknown.draw(VIEWS, _generator(seed))
        assert _light(first.render).environment is _light(second.render).environment
        for a, b in zip(_numbers(_light(first.render)), _numbers(_light(second.render)), strict=True):
            assert torch.equal(a, b)
        assert not torch.equal(_numbers(_light(second.render))[0], _numbers(_light(second.reference))[0])
        others += _light(second.render).environment is not _light(second.reference).environment
    assert 1 <= others <= 11


def test_draws_stay_in_their_ranges_and_fill_them(environments: list[PrefilteredEnvironment]) -> None:
    lighting = EnvironmentLighting(environments, LightingConfig(exposure=1.5))
    turns, stops, seen = [], [], set()
    for seed in range(100):
        light = _light(lighting.draw(VIEWS, _generator(seed)).render)
        turn, stop = _numbers(light)
        turns.append(turn)
        stops.append(stop)
        seen.add(id(light.environment))
    turn, stop = torch.cat(turns), torch.cat(stops)
    assert len(seen) == 2
    assert 0.0 <= float(turn.min()) < 0.2
    assert 2.0 * math.pi - 0.2 < float(turn.max()) <= 2.0 * math.pi
    assert -1.5 <= float(stop.min()) < -1.3
    assert 1.3 < float(stop.max()) <= 1.5


def test_an_offset_moves_every_draw_by_as_much(environments: list[PrefilteredEnvironment]) -> None:
    plain = EnvironmentLighting(environments, LightingConfig())
    brighter = EnvironmentLighting(environments, LightingConfig(offset=0.75))
    first, second = (_light(each.draw(VIEWS, _generator(3)).render) for each in (plain, brighter))
    assert torch.equal(_numbers(first)[0], _numbers(second)[0])
    torch.testing.assert_close(_numbers(second)[1] - _numbers(first)[1], torch.full((3,), 0.75))


def test_a_fixed_light_never_changes(environments: list[PrefilteredEnvironment]) -> None:
    lighting = EnvironmentLighting(environments[:1], LightingConfig(rotate=False, exposure=0.0))
    for seed in range(3):
        light = _light(lighting.draw(VIEWS, _generator(seed)).render)
        assert light.environment is environments[0]
        assert all(not value.any() for value in _numbers(light))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        EnvironmentLighting([])
    with pytest.raises(ConfigError, match=r"-1\.0 stops"):
        LightingConfig(exposure=-1.0)
    with pytest.raises(ConfigError, match=r"9\.0 stops"):
        LightingConfig(exposure=9.0)
    with pytest.raises(ConfigError, match=r"offset of -5\.0 stops"):
        LightingConfig(offset=-5.0)


def test_rays_of_an_orthographic_camera_start_far_behind_it() -> None:
    """From a point so far away all directions to the normalised mesh are the camera's own."""
    camera = Camera.orthographic((0.0, -3.0, 1.0), (0.0, 0.0, 0.0), height=2.0)
    eye = eyes_of([camera, VIEWS[0]])
    torch.testing.assert_close(eye[1], torch.tensor((2.0, 0.0, 0.5)))
    corner = torch.tensor((0.8, 0.8, -0.8))
    direction = torch.nn.functional.normalize(eye[0] - corner, dim=0)
    torch.testing.assert_close(direction, torch.from_numpy(camera.backward), atol=2e-4, rtol=0.0)
