# SPDX-License-Identifier: Apache-2.0
"""Several ControlNets at once, with tiny random ones of Stable Diffusion 1.5, 2.1 and XL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.errors import GuidanceError
from pgc.guidance.base import Conditions, Guidance, Shown
from pgc.guidance.control_specs import ControlKind, ControlSpec, ControlWindow, ControlWish
from pgc.guidance.diffusion.controls import control_picture
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.resizing import resize_bilinear
from pgc.guidance.specs import SDXLSpec, StableDiffusionSpec, load_guidance
from pgc.mesh import load_mesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.runs.prepared import start_optimization
from pgc.runs.scene_building import SourceTextures
from pgc.runs.settings.presets import preset_settings, with_overrides
from tests.pgc.guidance.conftest import tiny_controlnet

CPU = torch.device("cpu")
OTHERS: tuple[ControlKind, ...] = ("normal", "tile", "shuffle", "edges", "depth-official")
MODELS = ("sd15", "sd21", "sdxl")
Scene = Callable[..., Conditions]


@pytest.fixture(scope="module")
def nets(
    sd15_folder: Path, sdxl_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ControlKind], Path]:
    """A ControlNet of each kind, all different; shuffle's pools its answer, as the published one does."""
    found: dict[tuple[str, ControlKind], Path] = {}
    for family, folder in (("sd", sd15_folder), ("sdxl", sdxl_folder)):
        unet = UNet2DConditionModel.from_pretrained(folder / "unet")
        for seed, kind in enumerate(OTHERS):
            torch.manual_seed(seed)
            net = tiny_controlnet(unet)
            net.register_to_config(global_pool_conditions=kind == "shuffle")
            found[family, kind] = tmp_path_factory.mktemp("nets") / kind
            net.save_pretrained(found[family, kind])
    return found


@pytest.fixture
def load(
    nets: dict[tuple[str, ControlKind], Path], sd15_folder: Path, sd21_folder: Path, sdxl_folder: Path
) -> Callable[..., Guidance]:
    folders = {"sd15": sd15_folder, "sd21": sd21_folder, "sdxl": sdxl_folder}

    def build(model: str, *wishes: ControlWish, depth: float | None = None) -> Guidance:
        kind: Any = SDXLSpec if model == "sdxl" else StableDiffusionSpec
        family = "sdxl" if model == "sdxl" else "sd"
        spec = kind(
            source=str(folders[model]),
            controlnet=None if depth is None else str(folders[model] / "controlnet"),
            controls=tuple(ControlSpec(wish=wish, source=str(nets[family, wish.kind])) for wish in wishes),
            run=LatentDiffusionConfig(control_scale=1.0 if depth is None else depth),
        )
        return load_guidance(spec, CPU)

    return build


def _shown(given: Conditions, **changes: Any) -> Conditions:
    generator = torch.Generator().manual_seed(5)
    normal = torch.nn.functional.normalize(torch.randn((2, 3, 48, 48), generator=generator), dim=1)
    return replace(
        given,
        normal=normal,
        regions=(torch.rand((2, 1, 48, 48), generator=generator) > 0.5).int(),
        picture=torch.rand((2, 3, 48, 48), generator=generator),
        reference=torch.rand((1, 3, 20, 30), generator=generator),
        **changes,
    )


NOISY = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
AT = torch.tensor([300, 700])


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_the_sum_is_that_of_diffusers(
    load: Callable[..., Guidance], nets: dict[tuple[str, ControlKind], Path], scene: Scene, model: str
) -> None:
    kinds: tuple[ControlKind, ...] = ("normal", "edges", "tile")
    guidance = load(model, *(ControlWish(kind=kind, scale=0.3 + 0.4 * i) for i, kind in enumerate(kinds)))
    assert isinstance(guidance, Shown)
    assert guidance.shows == set(kinds)
    given = _shown(scene(guidance))
    found = guidance.predict_noise(NOISY, AT, given)
    family = "sdxl" if model == "sdxl" else "sd"
    several: Any = MultiControlNetModel([ControlNetModel.from_pretrained(nets[family, kind]) for kind in kinds])
    inner: Any = getattr(guidance, "_model")  # noqa: B009 - private
    for words, answer in ((given.prompt, found.cond), (given.negative, found.uncond)):
        pictures = [resize_bilinear(control_picture(kind)(given), inner.image_size) for kind in kinds]  # type: ignore[arg-type]
        common = {"encoder_hidden_states": words.hidden_states, "return_dict": False}
        common["added_cond_kwargs"] = inner._added_conditions(words)
        with torch.no_grad():
            down, middle = several(NOISY, AT, controlnet_cond=pictures, conditioning_scale=[0.3, 0.7, 1.1], **common)
            said = inner.unet(
                NOISY, AT, down_block_additional_residuals=down, mid_block_additional_residual=middle, **common
            )[0]
        alpha = guidance.alphas_cumprod[AT].sqrt()[:, None, None, None]
        expected = said if model != "sd21" else alpha * said + (1 - alpha.square()).sqrt() * NOISY
        torch.testing.assert_close(answer, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", OTHERS)
def test_each_control_matters_and_three_steps_are_finite(
    load: Callable[..., Guidance], scene: Scene, model: str, kind: ControlKind
) -> None:
    guidance = load(model, ControlWish(kind=kind))
    given, inner = _shown(scene(guidance)), getattr(guidance, "_model")  # noqa: B009 - private
    found, controls = guidance.predict_noise(NOISY, AT, given), inner.controls
    inner.controls = ()
    without = guidance.predict_noise(NOISY, AT, given)
    inner.controls = controls
    assert not torch.allclose(found.cond, without.cond, atol=1e-4)
    # What pools its answer speaks under the prompt alone.
    assert torch.equal(found.uncond, without.uncond) == (kind == "shuffle")
    image = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(1), requires_grad=True)
    loss = SDSLoss(SDSConfig(guidance_scale=7.5))
    for step in range(3):
        latents = guidance.encode_image(image)
        generator = torch.Generator().manual_seed(step)
        outcome = loss.gradient(latents.detach(), guidance, given, progress=step / 3, generator=generator)
        (gradient,) = torch.autograd.grad(latents, image, outcome.gradient)
        assert bool(torch.isfinite(gradient).all())
        assert float(gradient.abs().max()) > 0.0
        image = (image - 0.01 * gradient).detach().requires_grad_()


@pytest.mark.slow
def test_a_control_acts_in_its_share_of_the_run(load: Callable[..., Guidance], scene: Scene) -> None:
    window = ControlWindow(start=0.25, end=0.5)
    guidance = load("sd15", ControlWish(kind="edges", window=window))
    off = load("sd15", ControlWish(kind="edges", scale=0.0))
    for progress in (0.0, 0.2, 0.25, 0.4, 0.5, 0.51, 1.0):
        given = _shown(scene(guidance), progress=progress)
        same = torch.equal(guidance.predict_noise(NOISY, AT, given).cond, off.predict_noise(NOISY, AT, given).cond)
        assert same == (not 0.25 <= progress <= 0.5), progress


@pytest.mark.slow
def test_a_control_acts_in_its_share_of_the_noise_view_by_view(load: Callable[..., Guidance], scene: Scene) -> None:
    window = ControlWindow(start=0.5, end=1.0, over="noise")
    guidance = load("sd15", ControlWish(kind="edges", window=window))
    on, off = load("sd15", ControlWish(kind="edges")), load("sd15", ControlWish(kind="edges", scale=0.0))
    given = _shown(scene(guidance))
    found, always, never = (one.predict_noise(NOISY, AT, given).cond for one in (guidance, on, off))
    torch.testing.assert_close(found[0], never[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found[1], always[1], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(found[1], never[1], atol=1e-4)


def test_shuffle_without_a_picture_and_views_without_one_are_said(load: Callable[..., Guidance], scene: Scene) -> None:
    guidance = load("sd15", ControlWish(kind="shuffle"))
    with pytest.raises(GuidanceError, match="shuffle shows a picture of yours; give one with --reference"):
        guidance.predict_noise(NOISY, AT, replace(_shown(scene(guidance)), reference=None))
    guidance = load("sd15", ControlWish(kind="tile"))
    given = _shown(scene(guidance))
    one = replace(given, prompt=given.prompt.select([0]), negative=given.negative.select([0]))
    with pytest.raises(GuidanceError, match="Got 2 tile images for 1 latents"):
        guidance.predict_noise(NOISY[:1], AT[:1], one)


@pytest.mark.slow
def test_a_run_shows_all_that_its_controls_need(load: Callable[..., Guidance], cube_obj: Path) -> None:
    """Through the loop: normals turn with the camera, regions and pictures are there, and textures change."""
    guidance = load("sd15", *(ControlWish(kind=kind, scale=0.5) for kind in OTHERS), depth=0.5)
    heard: list[Conditions] = []
    ask = guidance.predict_noise

    def listening(noisy: torch.Tensor, at: torch.Tensor, given: Conditions) -> Any:
        heard.append(given)
        return ask(noisy, at, given)

    setattr(guidance, "predict_noise", listening)  # noqa: B010 - of a protocol
    settings = with_overrides(
        preset_settings("standard", StableDiffusionSpec()), steps=3, views=2, resolution=32, texture_size=32
    )
    sources = SourceTextures(likeness=torch.rand(1, 3, 8, 8))
    mesh = prepare_mesh(load_mesh(cube_obj))
    run = start_optimization(mesh, Prompt(text="red"), settings, guidance, sources=sources)
    before = [parameter.detach().clone() for parameter in run.scene.texture.parameters()]
    for result in run.steps():
        assert bool(torch.isfinite(result.image).all())
    assert any(not torch.equal(a, b) for a, b in zip(before, run.scene.texture.parameters(), strict=True))
    assert [round(one.progress, 3) for one in heard] == [0.0, 0.333, 0.667]
    for given in heard:
        assert given.normal is not None
        assert given.mask is not None
        assert given.regions is not None
        assert given.picture is not None
        shown = given.normal.permute(0, 2, 3, 1)[given.mask[:, 0]]
        torch.testing.assert_close(shown.norm(dim=1), torch.ones(len(shown)), atol=1e-4, rtol=1e-4)
        assert float(shown[:, 2].mean()) > 0.3, "what is seen faces the viewer"
        assert torch.equal(given.regions >= 0, given.mask)
        assert not given.picture.requires_grad


def test_a_prior_without_controls_is_given_nothing_more(load: Callable[..., Guidance], cube_obj: Path) -> None:
    guidance = load("sd15", depth=1.0)
    heard: list[Conditions] = []
    ask = guidance.predict_noise

    def listening(noisy: torch.Tensor, at: torch.Tensor, given: Conditions) -> Any:
        heard.append(given)
        return ask(noisy, at, given)

    setattr(guidance, "predict_noise", listening)  # noqa: B010 - of a protocol
    settings = with_overrides(
        preset_settings("standard", StableDiffusionSpec()), steps=1, views=1, resolution=32, texture_size=32
    )
    run = start_optimization(prepare_mesh(load_mesh(cube_obj)), Prompt(text="red"), settings, guidance)
    assert len(list(run.steps())) == 1
    assert (heard[0].normal, heard[0].regions, heard[0].picture, heard[0].reference) == (None, None, None, None)
