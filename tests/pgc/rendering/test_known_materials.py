# SPDX-License-Identifier: Apache-2.0
import torch

from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.optimization.views.told_light import told_light
from pgc.rendering.environment import colored_key
from pgc.rendering.known_materials import KNOWN_MATERIALS, LIT_WHITE, SHADING_CHANNELS, known_shading_of, lit_white_of
from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.pbr_shading import pbr, pbr_linear
from tests.pgc.rendering.test_pbr_shading import EYE, ball, make_light, material


def keyed(rotation: float = 0.3) -> ViewedLight:
    return ViewedLight(light=Light(environment=make_light(colored_key), rotation=rotation, exposure=0.4), eye=EYE)


def test_it_is_ordinary_shading_of_white_materials() -> None:
    light, surface = keyed(), ball()
    told = known_shading_of(surface, light)
    assert told.shape == (1, SHADING_CHANNELS, 12, 12)
    for index, known in enumerate(KNOWN_MATERIALS):
        plain = material((1.0, 1.0, 1.0), known.roughness, known.metallic)
        expected = pbr(surface, plain, light.light, eye=EYE) * surface.mask
        assert torch.allclose(told[:, 3 * index : 3 * index + 3], expected, atol=1e-6)


def test_it_tells_lights_apart_and_is_nothing_off_the_mesh() -> None:
    surface = ball()
    first, second = known_shading_of(surface, keyed(0.3)), known_shading_of(surface, keyed(2.0))
    assert float((first - second).abs().mean()) > 0.02
    assert not first[~surface.mask.expand_as(first)].any()
    assert float(first[surface.mask.expand_as(first)].min()) > 0.0


class _Aware(OracleGuidance):
    takes_shading = True


def test_light_is_told_to_whom_it_may_concern() -> None:
    config, cpu = OracleConfig(), torch.device("cpu")
    assert told_light(OracleGuidance(config, cpu), ball(), keyed()) is None
    assert told_light(_Aware(config, cpu), ball(), None) is None
    told = told_light(_Aware(config, cpu), ball(), keyed())
    assert told is not None
    assert torch.equal(told, known_shading_of(ball(), keyed()))


def test_white_surfaces_are_ordinary_radiance_of_their_finishes() -> None:
    light, surface = keyed(), ball()
    lit = lit_white_of(surface, light)
    assert lit.shape == (1, 3 * len(LIT_WHITE), 12, 12)
    for index, known in enumerate(LIT_WHITE):
        plain = material((1.0, 1.0, 1.0), known.roughness, known.metallic)
        expected = pbr_linear(surface, plain, light.light, eye=EYE) * surface.mask
        assert torch.allclose(lit[:, 3 * index : 3 * index + 3], expected, atol=1e-6)
