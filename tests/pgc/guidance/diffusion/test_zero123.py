# SPDX-License-Identifier: Apache-2.0
"""Zero123 against its published formulas, written once more with plain modules; its cameras against its data's code."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionModelWithProjection

from pgc.cameras import Camera
from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.errors import GuidanceError
from pgc.guidance.base import Conditions, Guidance, ViewTeacher
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.zero123.camera import UNIT, relative_camera
from pgc.guidance.diffusion.zero123.guidance import Zero123Guidance
from pgc.guidance.diffusion.zero123.loading import load_zero123
from pgc.guidance.diffusion.zero123.specs import Zero123Spec, zero123_named
from pgc.guidance.models import ALL_MODELS, KNOWN_MODELS
from pgc.guidance.specs import parse_guidance
from pgc.optimization.views.shown_controls import camera_poses
from tests.pgc.guidance.conftest import IMAGE_SIZE
from tests.pgc.guidance.zero123_models import LAYOUTS, write_zero123

CPU = torch.device("cpu")
REFERENCE = (0.0, -2.4, 0.3)
PLACES = ((1.5, -2.0, 0.9), (-0.4, 2.6, -0.7), (2.2, 0.1, 0.0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {layout: write_zero123(tmp_path_factory.mktemp("zero123") / layout, layout) for layout in LAYOUTS}


@pytest.fixture(scope="module")
def guidance(folders) -> Zero123Guidance:
    return load_zero123(Zero123Spec(source=str(folders[LAYOUTS[0]])), CPU)


def pose(place) -> torch.Tensor:
    return camera_poses([Camera.look_at(place, focal=1.0)])[0]


def picture(seed: int = 1) -> torch.Tensor:
    """Smooth, of another size than the model's."""
    small = torch.rand((1, 3, 5, 5), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(small, (48, 48), mode="bilinear")


def conditions(guidance: Guidance, places=PLACES, **changes) -> Conditions:
    given = {
        "reference": picture(),
        "reference_to_world": pose(REFERENCE),
        "camera_to_world": torch.stack([pose(place) for place in places]),
    }
    words = guidance.encode_prompt([""] * len(places))
    return Conditions(prompt=words, negative=words, **{**given, **changes})


def published(target, reference) -> np.ndarray:
    """The way between two places of the camera, as the training data has it: angles of NumPy, one pair at a time."""

    def angles(place):
        x, y, z = np.asarray(place, dtype=np.float64) / 1.6
        level = math.sqrt(x * x + y * y)
        return math.atan2(level, z), math.atan2(y, x), math.sqrt(level**2 + z * z)

    there, here = angles(target), angles(reference)
    turn = (there[1] - here[1]) % (2 * math.pi)
    return np.array([there[0] - here[0], math.sin(turn), math.cos(turn), there[2] - here[2]])


def plain_noise(folder: Path, layout: str, z: torch.Tensor, t: int, place, *, prompted: bool) -> torch.Tensor:
    """The network's answer for one view, with nothing of pgc."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    vae = AutoencoderKL.from_pretrained(folder / "vae")
    clip = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder")
    name = "clip_camera_projection" if layout == "Zero123Pipeline" else "cc_projection"
    linear = load_file(folder / name / "diffusion_pytorch_model.safetensors")
    weight = next(value for key, value in linear.items() if key.endswith("weight"))
    bias = next(value for key, value in linear.items() if key.endswith("bias"))
    seen = torch.nn.functional.interpolate(
        picture(), (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", antialias=True, align_corners=False
    )
    beside = vae.encode(2 * seen - 1).latent_dist.mode()
    small = torch.nn.functional.interpolate(2 * seen - 1, (28, 28), mode="bicubic", align_corners=True)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[None, :, None, None]
    spread = torch.tensor([0.26862954, 0.26130258, 0.27577711])[None, :, None, None]
    vector = clip(((small + 1) / 2 - mean) / spread).image_embeds
    way = torch.from_numpy(published(place, REFERENCE)).float()[None]
    token = (torch.cat([vector, way], dim=-1) @ weight.T + bias)[:, None]
    if not prompted:
        token, beside = torch.zeros_like(token), torch.zeros_like(beside)
    return unet(torch.cat([z, beside], dim=1), torch.tensor([t]), encoder_hidden_states=token).sample


def test_the_cameras_way_is_the_published_one():
    found = relative_camera(torch.stack([pose(place) for place in PLACES]), pose(REFERENCE))
    expected = np.stack([published(place, REFERENCE) for place in PLACES])
    assert np.abs(found.numpy() - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        # Seen from the front, at -Y: straight above, level on the picture's right (+X), behind, and twice as far.
        ((0.0, -1e-9, 2.0), (-math.pi / 2, 0.0, 1.0, 0.0)),
        ((2.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)),
        ((-2.0, 0.0, 0.0), (0.0, -1.0, 0.0, 0.0)),
        ((0.0, 2.0, 0.0), (0.0, 0.0, -1.0, 0.0)),
        ((0.0, -4.0, 0.0), (0.0, 0.0, 1.0, 2.0 / UNIT)),
    ],
)
def test_signs_of_the_way(place, expected):
    here = pose((0.0, -2.0, 0.0))
    there = torch.eye(4)[None].clone()
    there[0, :3, 3] = torch.tensor(place)
    assert relative_camera(there, here)[0].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_step_of_distillation_is_the_one_from_scratch(folders, layout):
    guidance = load_zero123(Zero123Spec(source=str(folders[layout])), CPU)
    latents = torch.randn((len(PLACES), 4, 8, 8), generator=torch.Generator().manual_seed(3))
    scale = 5.0
    loss = SDSLoss(SDSConfig(guidance_scale=scale))
    found = loss.gradient(
        latents, guidance, conditions(guidance), progress=0.2, generator=torch.Generator().manual_seed(7)
    )
    betas = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000) ** 2
    abar = np.cumprod(1.0 - betas)
    for view, place in enumerate(PLACES):
        t = int(found.timestep[view])
        noise = found.noise[view : view + 1]
        z = math.sqrt(abar[t]) * latents[view : view + 1] + math.sqrt(1 - abar[t]) * noise
        with torch.no_grad():
            uncond, cond = (
                plain_noise(folders[layout], layout, z, t, place, prompted=which) for which in (False, True)
            )
        expected = (1 - abar[t]) * (uncond + scale * (cond - uncond) - noise)
        assert (found.gradient[view : view + 1] - expected).abs().max() < 1e-4
        assert (cond - uncond).abs().max() > 1e-2


@pytest.mark.slow
def test_rows_by_rows_and_view_by_view_are_the_same(folders, guidance):
    noisy, at = torch.randn((3, 4, 8, 8)), torch.tensor([100, 500, 900])
    whole = guidance.predict_noise(noisy, at, conditions(guidance))
    config = LatentDiffusionConfig(sequential_guidance=True)
    slow = load_zero123(Zero123Spec(source=str(folders[LAYOUTS[0]]), run=config), CPU)
    again = slow.predict_noise(noisy, at, conditions(slow))
    part = guidance.predict_noise(noisy[1:2], at[1:2], conditions(guidance).of_views(1, 2))
    for name in ("cond", "uncond"):
        assert torch.allclose(getattr(whole, name), getattr(again, name), atol=1e-5)
        assert torch.allclose(getattr(whole, name)[1:2], getattr(part, name), atol=1e-5)


def test_it_is_a_teacher_of_views_and_needs_picture_and_cameras(guidance):
    assert isinstance(guidance, Guidance)
    assert isinstance(guidance, ViewTeacher)
    noisy, at = torch.randn((3, 4, 8, 8)), torch.tensor([1, 2, 3])
    with pytest.raises(GuidanceError, match=r"by a picture of it; got none"):
        guidance.predict_noise(noisy, at, conditions(guidance, reference=None))
    for missing in ("camera_to_world", "reference_to_world"):
        with pytest.raises(GuidanceError, match="got no cameras"):
            guidance.predict_noise(noisy, at, conditions(guidance, **{missing: None}))


def test_another_picture_is_seen_anew(guidance):
    noisy, at = torch.randn((3, 4, 8, 8)), torch.tensor([10, 20, 30])
    one = guidance.predict_noise(noisy, at, conditions(guidance)).cond
    other = guidance.predict_noise(noisy, at, conditions(guidance, reference=picture(2))).cond
    assert not torch.allclose(one, other)


def test_the_picture_is_seen_anew_by_a_wider_autoencoder(folders, monkeypatch):
    guidance = load_zero123(Zero123Spec(source=str(folders[LAYOUTS[0]])), CPU)
    vae = guidance.parts.vae.half()
    encode = vae.encode

    def overflowing(x, **options):
        """In half precision, no numbers come out."""
        found = encode(x.float(), **options) if x.dtype == torch.float32 else None
        if found is None:
            nothing = torch.full((len(x), 4, IMAGE_SIZE // 8, IMAGE_SIZE // 8), torch.nan)
            found = (SimpleNamespace(mean=nothing, std=nothing),)
        return found

    monkeypatch.setattr(vae, "encode", overflowing)
    given = conditions(guidance)
    beside = guidance._see(given).latents
    assert beside.isnan().all()
    assert guidance.widen_autoencoder()
    assert guidance._see(given).latents.isfinite().all()
    assert guidance._see(given) is guidance._see(given)


def test_what_is_no_zero123_is_refused(folders, tmp_path):
    folder = write_zero123(tmp_path / "bad")
    save_file({"other": torch.zeros(1)}, folder / "clip_camera_projection" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(GuidanceError, match=r"holds other; expected proj\.weight"):
        load_zero123(Zero123Spec(source=str(folder)), CPU)
    narrow = {"proj.weight": torch.zeros(16, 16), "proj.bias": torch.zeros(16)}
    save_file(narrow, folder / "clip_camera_projection" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(GuidanceError, match="its camera layer takes 16 channels; expected 20"):
        load_zero123(Zero123Spec(source=str(folder)), CPU)
    (folder / "image_encoder" / "config.json").unlink()
    with pytest.raises(GuidanceError, match="image_encoder"):
        load_zero123(Zero123Spec(source=str(folder)), CPU)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_textures_refuse_it_by_its_folder_and_its_name(folders, layout):
    for text in (str(folders[layout]), "zero123"):
        with pytest.raises(GuidanceError, match="pgc image"):
            parse_guidance(text)


def test_a_sheet_of_six_views_is_another_kind_of_model(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "Zero123PlusPipeline"}))
    with pytest.raises(GuidanceError, match="Zero123PlusPipeline model; expected"):
        parse_guidance(str(tmp_path))


def test_it_is_listed_apart_from_priors_of_textures():
    assert "zero123" in [model.key for model in ALL_MODELS]
    assert "zero123" not in [model.key for model in KNOWN_MODELS]


def test_what_stands_behind_guidance_is_known_by_its_index(folders, sd15_folder, tmp_path):
    assert zero123_named("zero123") == Zero123Spec()
    for folder in folders.values():
        assert zero123_named(str(folder)) == Zero123Spec(source=str(folder))
    assert zero123_named("pocket") is None
    assert zero123_named(str(sd15_folder)) is None
    # Another fourth number, in files that look the same.
    for name in ("kxic/stable-zero123", str(tmp_path / "Stable_Zero123")):
        with pytest.raises(GuidanceError, match="Stable Zero123 by its name"):
            zero123_named(name)
