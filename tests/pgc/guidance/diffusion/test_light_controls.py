# SPDX-License-Identifier: Apache-2.0
"""ControlNets for light: FlashTex's and DreamMat's pictures, on tiny random networks with their numbers of channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from pgc.errors import ConfigError, GuidanceError
from pgc.guidance.base import Conditions, Guidance
from pgc.guidance.control_specs import ControlSpec, ControlWish
from pgc.guidance.diffusion.controls import control_picture
from pgc.guidance.diffusion.light_controls import dreammat_image, filmic, flashtex_image, light_control
from pgc.guidance.specs import SDXLSpec, StableDiffusionSpec, load_guidance, parse_guidance
from pgc.mesh import load_mesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.rendering.known_materials import LIT_WHITE
from pgc.runs.prepared import start_optimization
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import resolve
from tests.pgc.guidance.conftest import tiny_controlnet

CPU = torch.device("cpu")
FORMATS = {"sd15": 3, "sd21": 22}
NOISY = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
AT = torch.tensor([300, 700])


@pytest.fixture(scope="module")
def nets(sd15_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """ControlNets by the channels of their pictures; that of five is nobody's."""
    unet = UNet2DConditionModel.from_pretrained(sd15_folder / "unet")
    found: dict[int, Path] = {}
    for channels in (3, 22, 5):
        torch.manual_seed(channels)
        net = tiny_controlnet(unet, channels)
        found[channels] = tmp_path_factory.mktemp("nets") / f"light{channels}"
        net.save_pretrained(found[channels])
    return found


@pytest.fixture
def load(nets: dict[int, Path], sd15_folder: Path, sd21_folder: Path) -> Callable[..., Guidance]:
    def build(model: str, scale: float = 1.0, channels: int | None = None) -> Guidance:
        folder = {"sd15": sd15_folder, "sd21": sd21_folder}[model]
        source = str(nets[FORMATS[model] if channels is None else channels])
        control = ControlSpec(wish=ControlWish(kind="light", scale=scale), source=source)
        return load_guidance(StableDiffusionSpec(source=str(folder), controlnet=None, controls=(control,)), CPU)

    return build


def shown(given: Conditions) -> Conditions:
    """With normals, and white surfaces under a light of random pixels."""
    generator = torch.Generator().manual_seed(5)
    assert given.mask is not None
    normal = torch.nn.functional.normalize(torch.randn((2, 3, 48, 48), generator=generator), dim=1)
    white = 2.0 * torch.rand((2, 3 * len(LIT_WHITE), 48, 48), generator=generator) * given.mask
    return replace(given, normal=normal, lit_white=white)


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """White surfaces, depth, mask and normals of two small pictures."""
    generator = torch.Generator().manual_seed(7)
    mask = torch.rand((2, 1, 5, 6), generator=generator) > 0.4
    white = 1.6 * torch.rand((2, 21, 5, 6), generator=generator) * mask
    depth = (1.0 + torch.rand((2, 1, 5, 6), generator=generator)) * mask
    normal = torch.nn.functional.normalize(torch.randn((2, 3, 5, 6), generator=generator), dim=1)
    return white, depth, mask, normal


def test_flashtex_is_shown_the_red_of_chalk_half_metal_and_a_mirror() -> None:
    white, *_ = inputs()
    image = flashtex_image(white)
    wanted = [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)]
    assert image.shape == (2, 3, 5, 6)
    for channel, (roughness, metallic) in enumerate(wanted):
        place = next(at for at, one in enumerate(LIT_WHITE) if (one.roughness, one.metallic) == (roughness, metallic))
        assert torch.equal(image[:, channel], white[:, 3 * place].clamp(0.0, 1.0))


def test_dreammat_is_shown_what_its_dataset_shows_pixel_by_pixel() -> None:
    """Against loops over pixels, as `diffusers_dataset.py` of its repository computes them."""
    white, depth, mask, normal = inputs()
    image = dreammat_image(white, depth, mask, normal)
    assert image.shape == (2, 22, 5, 6)
    assert [(one.metallic, one.roughness) for one in LIT_WHITE[:6]] == [
        (0.0, 0.0), (0.0, 0.5), (0.0, 1.0), (1.0, 0.0), (1.0, 0.5), (1.0, 1.0),
    ]  # fmt: skip
    for view in range(2):
        near = [1.0 / float(value) for value in depth[view][mask[view]]]
        for row in range(5):
            for column in range(6):
                found = image[view, :, row, column]
                if not bool(mask[view, 0, row, column]):
                    assert not found.any()
                    continue
                here = 1.0 / float(depth[view, 0, row, column])
                expected = 0.7 * (here - min(near)) / (max(near) - min(near) + 1e-6) + 0.3
                assert float(found[0]) == pytest.approx(expected, abs=1e-5)
                x, y, z = (float(value) for value in normal[view, :, row, column])
                assert found[1:4].tolist() == pytest.approx([0.5 - 0.5 * x, 0.5 + 0.5 * y, 0.5 + 0.5 * z], abs=1e-5)
                assert torch.equal(found[4:], filmic(white[view, :18, row, column]))


def test_filmic_is_blenders_of_greys() -> None:
    """Values that Blender 4.2 saved, some of them between those of the table."""
    greys = torch.tensor([0.0, 0.00049, 0.01105, 0.18, 0.25, 1.0, 4.0, 16.0, 100.0])
    saved = torch.tensor([0.0, 0.0072, 0.1082, 0.4989, 0.5642, 0.8072, 0.9494, 0.9997, 1.0])
    torch.testing.assert_close(filmic(greys), saved, atol=2e-3, rtol=0.0)
    ramp = filmic(torch.linspace(0.0, 20.0, 4000))
    assert bool((ramp.diff() >= 0.0).all())


def test_pictures_of_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(GuidanceError, match=r"light takes pictures of 5 channels; expected 3 \(FlashTex\) or 22"):
        light_control(5)
    with pytest.raises(GuidanceError, match="ControlNet for normal takes pictures of 22 channels; expected 3"):
        control_picture("normal", 22)


@pytest.mark.slow
@pytest.mark.parametrize("model", FORMATS)
def test_a_model_hears_of_the_light_and_of_nothing_where_none_is_told(
    load: Callable[..., Guidance], scene: Callable[..., Conditions], model: str
) -> None:
    guidance, off = load(model), load(model, scale=0.0)
    given = shown(scene(guidance))
    assert given.lit_white is not None
    first = guidance.predict_noise(NOISY, AT, given).cond
    darker = guidance.predict_noise(NOISY, AT, replace(given, lit_white=0.3 * given.lit_white)).cond
    without = guidance.predict_noise(NOISY, AT, replace(given, lit_white=None)).cond
    never = off.predict_noise(NOISY, AT, given).cond
    assert float((first - darker).abs().max()) > 1e-4
    assert torch.equal(without, never)


def test_a_network_that_is_nobodys_is_refused_as_it_is_loaded(load: Callable[..., Guidance]) -> None:
    with pytest.raises(GuidanceError, match="light takes pictures of 5 channels"):
        load("sd15", channels=5)


def test_a_network_of_another_model_is_refused_as_it_is_loaded(sdxl_folder: Path, nets: dict[int, Path]) -> None:
    own = ControlSpec(wish=ControlWish(kind="light"), source=str(nets[3]))
    for spec in (
        SDXLSpec(source=str(sdxl_folder), controlnet=None, controls=(own,)),
        SDXLSpec(source=str(sdxl_folder), controlnet=str(nets[3])),
    ):
        with pytest.raises(GuidanceError, match=r"is for another model: it reads words of \d+ numbers, this model has"):
            load_guidance(spec, CPU)


def test_in_the_place_of_the_models_own_depth_too(nets: dict[int, Path], sd15_folder: Path) -> None:
    choices = RunChoices(controls=("depth=1",), control_models={"depth": str(nets[22])})
    spec, _ = resolve(choices, StableDiffusionSpec(source=str(sd15_folder)))
    with pytest.raises(GuidanceError, match="ControlNet for depth takes pictures of 22 channels; expected 3"):
        load_guidance(spec, CPU)


@pytest.mark.slow
@pytest.mark.parametrize("model", FORMATS)
def test_a_run_tells_the_light_of_each_step(
    nets: dict[int, Path], sd15_folder: Path, sd21_folder: Path, cube_obj: Path, model: str
) -> None:
    folder = {"sd15": sd15_folder, "sd21": sd21_folder}[model]
    choices = RunChoices(
        controls=("light=0.8",), control_models={"light": str(nets[FORMATS[model]])}, maps=("roughness", "metallic"),
        steps=2, views=2, resolution=32, texture_size=32, warm_start=False,
    )  # fmt: skip
    spec, settings = resolve(choices, StableDiffusionSpec(source=str(folder), controlnet=None))
    guidance = load_guidance(spec, CPU)
    heard: list[Conditions] = []
    ask = guidance.predict_noise

    def listening(noisy: Tensor, at: Tensor, given: Conditions) -> Any:
        heard.append(given)
        return ask(noisy, at, given)

    setattr(guidance, "predict_noise", listening)  # noqa: B010 - of a protocol
    run = start_optimization(prepare_mesh(load_mesh(cube_obj)), Prompt(text="red"), settings, guidance)
    for result in run.steps():
        assert bool(torch.isfinite(result.image).all())
    lit = [given.lit_white for given in heard if given.lit_white is not None]
    assert len(lit) == len(heard) == 2
    assert all(one.shape == (2, 21, 32, 32) and float(one.max()) > 0.05 for one in lit)
    assert not torch.allclose(lit[0], lit[1])
    assert all(given.mask is not None and not given.lit_white[~given.mask.expand_as(given.lit_white)].any()
               for given in heard if given.lit_white is not None)  # fmt: skip


def test_where_light_is_told_is_known_before_anything_is_loaded() -> None:
    lit = RunChoices(controls=("light=1",), maps=("roughness",))
    for model, source in (("sd15", "kangled/lightcontrolnet"), ("sd21", "zzzyuqing/light-geo-controlnet")):
        spec, _ = resolve(lit, parse_guidance(model))
        assert isinstance(spec, StableDiffusionSpec)
        assert [(one.wish.kind, one.source) for one in spec.controls] == [("light", source)]
    with pytest.raises(ConfigError, match="No ControlNet for light is known for this model"):
        resolve(lit, SDXLSpec())
    with pytest.raises(ConfigError, match="control light shows the light of lit pictures"):
        resolve(replace(lit, maps=("base_color",)), StableDiffusionSpec())
    with pytest.raises(ConfigError, match="--explain-light is for models that are not told the light"):
        resolve(replace(lit, explain_light=True), StableDiffusionSpec())
