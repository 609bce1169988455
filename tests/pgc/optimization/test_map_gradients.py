# SPDX-License-Identifier: Apache-2.0
"""Residuals in the image by map: base colour against the render, finishes against its reconstruction."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pgc.cameras.sampling import SphereCameraSampler
from pgc.distillation.base import LatentGradient
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.timestep import UniformTimestepConfig
from pgc.evaluation.materials.truth import suite_mesh
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.lighting.environments import EnvironmentLighting
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.map_gradients import Baseline, backward_by_map, image_residual, reconstruction_error
from pgc.optimization.scene import Scene
from pgc.rendering.environment import prefilter, studio
from pgc.rendering.pbr_shading import pbr_shade
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.field import BakedTexture
from pgc.texture.finished_texture import FinishedTexture
from pgc.texture.material_field import MaterialField, MaterialFieldConfig
from pgc.texture.texel_config import MapSettings, TexelPyramidConfig

CPU = torch.device("cpu")
_SIZE = 48
_TRUE_ROUGHNESS = 0.2


class Blunting(OracleGuidance):
    """An oracle whose autoencoder blurs everything, what it knows as well."""

    def __init__(self) -> None:
        super().__init__(OracleConfig(image_size=_SIZE), CPU)
        self.decoded = 0

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        latents = super().encode_image(image, generator=generator)
        return F.avg_pool2d(latents, 5, stride=1, padding=2, count_include_pad=False)

    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        self.decoded += 1
        return super().decode_latents(latents)


def _maps() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Texels, and what a texture makes of them, on the graph; the normal is no variable."""
    generator = torch.Generator().manual_seed(1)
    channels = {"base_color": 3, "roughness": 1, "metallic": 1}
    texels = {name: torch.rand((2, c, 4, 4), generator=generator).requires_grad_() for name, c in channels.items()}
    return texels, {**{name: value.square() for name, value in texels.items()}, "normal": torch.ones((2, 3, 4, 4))}


def _shade(material: dict[str, Tensor]) -> Tensor:
    gloss = material["roughness"].sin() + material["metallic"] * material["base_color"]
    return material["base_color"] * (1.0 - 0.5 * material["metallic"]) + 0.3 * gloss * material["normal"]


def _gradients(texels: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.grad.clone() for name, value in texels.items() if value.grad is not None}


def _whole(gradient: Tensor) -> dict[str, Tensor]:
    """The slow reference: one gradient for all maps."""
    texels, material = _maps()
    _shade(material).backward(gradient)
    return _gradients(texels)


def test_each_map_gets_its_own_gradient() -> None:
    color, finish = torch.randn((2, 2, 3, 4, 4), generator=torch.Generator().manual_seed(2))
    texels, material = _maps()
    backward_by_map(_shade(material), material, color, finish)
    by_map, of_color, of_finish = _gradients(texels), _whole(color), _whole(finish)
    torch.testing.assert_close(by_map["base_color"], of_color["base_color"])
    for name in ("roughness", "metallic"):
        torch.testing.assert_close(by_map[name], of_finish[name])
        assert not torch.allclose(by_map[name], of_color[name], atol=1e-3)


def test_without_a_second_gradient_all_maps_share_the_first() -> None:
    color = torch.randn((2, 3, 4, 4), generator=torch.Generator().manual_seed(2))
    texels, material = _maps()
    backward_by_map(_shade(material), material, color, None)
    for name, value in _whole(color).items():
        assert torch.equal(_gradients(texels)[name], value)


@pytest.mark.parametrize("held", [("base_color",), ("roughness", "metallic")])
def test_maps_that_are_no_variables_get_nothing(held: tuple[str, ...]) -> None:
    color, finish = torch.randn((2, 2, 3, 4, 4), generator=torch.Generator().manual_seed(2))
    texels, material = _maps()
    material |= {name: material[name].detach() for name in held}
    backward_by_map(_shade(material), material, color, finish)
    assert _gradients(texels).keys() == {"base_color", "roughness", "metallic"} - set(held)


def test_maps_of_one_fetch_behind_each_other_get_their_own() -> None:
    """As a texture with relief gives them: slices of one tensor, and a normal that is computed from one of them."""
    fetched = torch.rand((2, 6, 4, 4), generator=torch.Generator().manual_seed(4))
    color, finish = torch.randn((2, 2, 3, 4, 4), generator=torch.Generator().manual_seed(2))

    def gradient(first: Tensor, second: Tensor | None) -> Tensor:
        texels = fetched.clone().requires_grad_()
        base, roughness, metallic, slope = texels.split([3, 1, 1, 1], dim=1)
        normal = (1.0 + slope.square()).sqrt().expand(-1, 3, -1, -1)
        material = {"base_color": base, "roughness": roughness, "metallic": metallic, "normal": normal}
        backward_by_map(_shade(material), material, first, second)
        assert texels.grad is not None
        return texels.grad

    found = gradient(color, finish)
    torch.testing.assert_close(found[:, :3], gradient(color, None)[:, :3])
    torch.testing.assert_close(found[:, 3:], gradient(finish, None)[:, 3:])


def test_what_the_autoencoder_makes_of_a_picture() -> None:
    guidance = Blunting()
    image = torch.rand((1, 3, _SIZE, _SIZE), generator=torch.Generator().manual_seed(3)).requires_grad_()
    found = reconstruction_error(guidance, image, guidance.encode_image(image))
    blurred = F.avg_pool2d(image, 5, stride=1, padding=2, count_include_pad=False)
    torch.testing.assert_close(found, (blurred - image).detach(), atol=1e-5, rtol=0.0)
    assert not found.requires_grad


def test_the_residual_goes_to_the_target_at_the_size_of_the_render() -> None:
    nothing = torch.zeros((1, 3, 4, 4))
    outcome = LatentGradient(
        gradient=nothing, timestep=torch.tensor([5]), noise=nothing, noise_pred=nothing, image_target=nothing + 0.25,
        image_weight=2.0,
    )  # fmt: skip
    assert torch.equal(image_residual(torch.full((1, 3, 8, 8), 0.75), outcome), torch.ones((1, 3, 8, 8)))


def _run(baseline: Baseline, *, latents_only: bool = False) -> tuple[float, Blunting]:
    """Mean roughness that a run from the true base colour ends with, and the guidance."""
    triangles = suite_mesh(0)[1]
    truth = {"base_color": [torch.full((3, 32, 32), 0.2)], "roughness": [torch.full((1, 32, 32), _TRUE_ROUGHNESS)]}
    fields = MaterialFieldConfig(
        base_color=MapSettings(initial=0.2, rate=1e-4),
        roughness=MapSettings(initial=_TRUE_ROUGHNESS, low=0.05, rate=1.0),
        with_metallic=False,
        with_normal=False,
    )
    scene = Scene(
        rasterizer=WarpRasterizer(triangles, device=CPU),
        texture=MaterialField(triangles, fields, TexelPyramidConfig(texture_size=32, start_size=32)),
        cameras=SphereCameraSampler(),
        shade=pbr_shade,
        lighting=EnvironmentLighting([prefilter(studio())]),
        baseline=baseline,
        reference=FinishedTexture(BakedTexture(maps=truth)),
    )
    image_loss = HiFAConfig(guidance_scale=1.0, latent_weight=0.0)
    latent_loss = SDSConfig(guidance_scale=1.0, timestep=UniformTimestepConfig(minimum=0.3, maximum=0.3))
    config = OptimizeConfig(
        steps=20, views=1, resolution=_SIZE, learning_rate=0.02, epsilon=0.01,
        distillation=latent_loss if latents_only else image_loss,
    )  # fmt: skip
    guidance = Blunting()
    run = Optimization(scene, guidance, Prompt(text=""), config)
    for _ in run.steps():
        pass
    return float(run.scene.texture.bake().maps["roughness"][0].mean()), guidance


@pytest.mark.slow
def test_a_blunt_autoencoder_makes_rough_only_what_is_compared_with_the_render() -> None:
    """The start is the truth, so that whatever moves is the autoencoder's doing."""
    plain, corrected = _run("render")[0], _run("reconstruction")[0]
    assert plain > _TRUE_ROUGHNESS + 0.05
    assert abs(corrected - _TRUE_ROUGHNESS) < 0.01


@pytest.mark.slow
def test_losses_on_latents_alone_decode_nothing() -> None:
    roughness, guidance = _run("reconstruction", latents_only=True)
    assert guidance.decoded == 0
    assert abs(roughness - _TRUE_ROUGHNESS) < 0.02
