# SPDX-License-Identifier: Apache-2.0
"""The pocket prior on a tiny stand-in: its depth picture, its suffix, its words."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from pgc.errors import GuidanceError
from pgc.guidance.base import Conditions, LightAware
from pgc.guidance.diffusion import pocket
from pgc.guidance.diffusion.pocket import PocketGuidance, pocket_weights
from pgc.guidance.diffusion.stable_diffusion import StableDiffusionGuidance
from pgc.guidance.specs import PocketSpec, StableDiffusionSpec, load_guidance, parse_guidance
from pgc.pocket.conditioning import depth_condition

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def guidance(pocket_folder: Path) -> PocketGuidance:
    loaded = load_guidance(PocketSpec(source=str(pocket_folder)), CPU)
    assert isinstance(loaded, PocketGuidance)
    return loaded


@pytest.fixture(scope="module")
def plain(pocket_folder: Path) -> StableDiffusionGuidance:
    """The same weights as an ordinary Stable Diffusion."""
    spec = StableDiffusionSpec(source=str(pocket_folder), controlnet=str(pocket_folder / "controlnet"))
    loaded = load_guidance(spec, CPU)
    assert isinstance(loaded, StableDiffusionGuidance)
    return loaded


@pytest.mark.slow
def test_folder_is_recognised_by_its_vocabulary(pocket_folder: Path, guidance: PocketGuidance) -> None:
    assert parse_guidance(str(pocket_folder)) == PocketSpec(source=str(pocket_folder))
    assert guidance.name == "pocket"
    assert guidance.prediction_type == "epsilon"
    assert guidance.image_size == 32


@pytest.mark.slow
def test_suffix_is_added_once_and_only_to_what_is_wanted(
    guidance: PocketGuidance, plain: StableDiffusionGuidance
) -> None:
    for given, sent, negative in (
        ("red cube", "red cube, flat lighting", False),
        ("red cube, Flat lighting", "red cube, Flat lighting", False),
        ("", "", False),
        ("red", "red", True),
    ):
        ours = guidance.encode_prompt([given], negative=negative).hidden_states
        assert torch.equal(ours, plain.encode_prompt([sent]).hidden_states), given
    assert not torch.equal(
        guidance.encode_prompt(["red cube"]).hidden_states, plain.encode_prompt(["red cube"]).hidden_states
    )


def test_no_suffix_when_there_is_none(pocket_folder: Path, plain: StableDiffusionGuidance) -> None:
    bare = load_guidance(PocketSpec(source=str(pocket_folder), prompt_suffix=""), CPU)
    assert torch.equal(bare.encode_prompt(["red"]).hidden_states, plain.encode_prompt(["red"]).hidden_states)


def test_depth_is_drawn_as_in_training(
    guidance: PocketGuidance, plain: StableDiffusionGuidance, scene: Callable[..., Conditions]
) -> None:
    conditions = scene(plain)
    assert conditions.depth is not None
    assert conditions.mask is not None
    latents = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    timestep = torch.tensor([10, 600])
    ours = guidance.predict_noise(latents, timestep, conditions)
    picture = depth_condition(conditions.depth, conditions.mask.float())
    model = guidance._model._model
    (control,) = model.controls
    drawn = control.picture(conditions)
    assert drawn is not None
    assert drawn.equal(picture)
    theirs = plain.predict_noise(latents, timestep, conditions)
    assert not torch.allclose(ours.cond, theirs.cond, atol=1e-5)


@pytest.fixture(scope="module")
def aware(pocket_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PocketGuidance:
    """A second edition: the same model with a ControlNet that looks at known materials."""
    folder = tmp_path_factory.mktemp("second") / "pocket"
    shutil.copytree(pocket_folder, folder)
    torch.manual_seed(3)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    controlnet = ControlNetModel.from_unet(
        unet, conditioning_channels=12, conditioning_embedding_out_channels=(8, 16, 16)
    )
    for name, parameter in controlnet.named_parameters():
        if name.startswith(("controlnet_down", "controlnet_mid", "controlnet_cond_embedding.conv_out")):
            torch.nn.init.normal_(parameter, std=0.2)
    controlnet.save_pretrained(folder / "controlnet")
    loaded = load_guidance(PocketSpec(source=str(folder)), CPU)
    assert isinstance(loaded, PocketGuidance)
    return loaded


def _asked(guidance: PocketGuidance, conditions: Conditions) -> torch.Tensor:
    latents = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    return guidance.predict_noise(latents, torch.tensor([10, 600]), conditions).cond


@pytest.mark.slow
def test_weights_say_whether_they_can_be_told_the_light(guidance: PocketGuidance, aware: PocketGuidance) -> None:
    assert isinstance(guidance, LightAware)
    assert not guidance.takes_shading
    assert isinstance(aware, LightAware)
    assert aware.takes_shading


def test_first_weights_take_no_notice_of_shading(guidance: PocketGuidance, scene: Callable[..., Conditions]) -> None:
    plain = scene(guidance)
    assert torch.equal(_asked(guidance, plain), _asked(guidance, replace(plain, shading=torch.rand(2, 9, 48, 48))))


def test_second_weights_see_the_shading_and_zeros_where_it_is_not_told(
    aware: PocketGuidance, scene: Callable[..., Conditions]
) -> None:
    plain = scene(aware)
    untold = _asked(aware, plain)
    assert torch.equal(untold, _asked(aware, replace(plain, shading=torch.zeros(2, 9, 48, 48))))
    told = _asked(aware, replace(plain, shading=torch.rand(2, 9, 48, 48, generator=torch.Generator().manual_seed(2))))
    assert float((told - untold).abs().max()) > 1e-3


def test_shading_of_other_materials_is_refused(aware: PocketGuidance, scene: Callable[..., Conditions]) -> None:
    for wrong in (torch.rand(2, 6, 48, 48), torch.rand(2, 12, 48, 48)):
        with pytest.raises(GuidanceError, match="trained with"):
            _asked(aware, replace(scene(aware), shading=wrong))


def test_images_go_there_and_back(guidance: PocketGuidance, plain: StableDiffusionGuidance) -> None:
    image = torch.rand((1, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    latents = guidance.encode_image(image)
    assert torch.equal(latents, plain.encode_image(image))
    assert torch.equal(guidance.decode_latents(latents), plain.decode_latents(latents))


def test_unknown_words(guidance: PocketGuidance) -> None:
    assert guidance.unknown_words("a red brick cube") == ()
    assert guidance.unknown_words("a weathered oak cube, oak") == ("weathered", "oak")
    assert guidance.vocabulary.message("red cube") is None


def test_missing_weights_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pocket, "packaged_pocket", lambda: tmp_path)
    with pytest.raises(GuidanceError, match="no pocket prior"):
        pocket_weights()
    with pytest.raises(GuidanceError, match="There is no folder"):
        load_guidance(PocketSpec(source=str(tmp_path / "nowhere")), CPU)
