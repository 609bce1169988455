# SPDX-License-Identifier: Apache-2.0
"""IP-Adapters show the model a picture as diffusers' own pipelines do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file

from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.errors import GuidanceError
from pgc.guidance.base import Conditions, Guidance, Shown
from pgc.guidance.diffusion.added.headers import ip_adapter_encoder, read_header, sha256_of
from pgc.guidance.diffusion.added.specs import AddedFiles, IpAdapterSpec
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.specs import SDXLSpec, StableDiffusionSpec, load_guidance
from pgc.mesh import load_mesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.runs.prepared import start_optimization
from pgc.runs.scene_building import SourceTextures
from pgc.runs.settings.presets import preset_settings, with_overrides
from tests.pgc.guidance.diffusion.added.made import SIDE, write_encoder, write_ip_adapter, write_plus

CPU = torch.device("cpu")
Scene = Callable[..., Conditions]
NOISY = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
AT = torch.tensor([300, 300])
# Bytes, so that diffusers' own preprocessing, which starts from them, sees the same.
BYTES = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
PICTURE = torch.from_numpy(BYTES).permute(2, 0, 1)[None].float() / 255.0


@pytest.fixture(scope="module")
def folders(sd15_folder: Path, sdxl_folder: Path) -> dict[str, Path]:
    return {"sd15": sd15_folder, "sdxl": sdxl_folder}


@pytest.fixture(scope="module")
def adapters(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    found: dict[tuple[str, str], Path] = {}
    for model, folder in folders.items():
        place = tmp_path_factory.mktemp("adapters")
        unet = UNet2DConditionModel.from_pretrained(folder / "unet")
        write_encoder(place / "image_encoder")
        found[model, "plain"] = write_ip_adapter(place / "plain.safetensors", unet)
        found[model, "plus"] = write_plus(place / "plus.safetensors", unet)
    return found


def _load(model: str, folders: dict[str, Path], path: Path | None, scale: float = 0.6, **changes: Any) -> Guidance:
    kind: Any = SDXLSpec if model == "sdxl" else StableDiffusionSpec
    spec = kind(source=str(folders[model]), controlnet=None, **changes)
    if path is not None:
        encoder = ip_adapter_encoder(read_header(path, "IP-Adapter", "--ip-adapter"))
        adapter = IpAdapterSpec(path=str(path), sha256=sha256_of(path), image_encoder=str(encoder), scale=scale)
        spec = replace(spec, added=AddedFiles(ip_adapter=adapter))
    return load_guidance(spec, CPU)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "plus"])
@pytest.mark.parametrize("model", ["sd15", "sdxl"])
def test_both_halves_are_those_of_diffusers_pipeline(
    model: str, kind: str, folders: dict[str, Path], adapters: dict[tuple[str, str], Path], scene: Scene
) -> None:
    """One step of the pipeline: what its network says of the two halves, guided, is what its scheduler is given."""
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    path = adapters[model, kind]
    whole: Any = StableDiffusionXLPipeline if model == "sdxl" else StableDiffusionPipeline
    unused = {} if model == "sdxl" else {"safety_checker": None}
    pipeline = whole.from_pretrained(folders[model], **unused)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, timestep_spacing="leading")
    pipeline.load_ip_adapter(str(path.parent), subfolder="", weight_name=path.name)
    pipeline.set_ip_adapter_scale(0.6)
    seen: list[Any] = []

    def remember(module: object, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        seen.append((*inputs[:2], output[0]))

    pipeline.unet.register_forward_hook(remember)
    pipeline.set_progress_bar_config(disable=True)
    pipeline(
        ["red cube", "blue ball"],
        negative_prompt=["grey", "grey"],
        ip_adapter_image=Image.fromarray(BYTES),
        latents=NOISY.clone(),
        num_inference_steps=1,
        guidance_scale=5.0,
        height=32,
        width=32,
        output_type="latent",
    )
    ((sample, timestep, said),) = seen
    guidance = _load(model, folders, path)
    at = torch.full((2,), int(timestep))
    given = replace(
        scene(guidance, depth=False),
        negative=guidance.encode_prompt(["grey", "grey"], negative=True),
        reference=PICTURE,
    )
    found = guidance.predict_noise(sample[:2], at, given)
    torch.testing.assert_close(found.uncond, said[:2], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found.cond, said[2:], atol=2e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["sd15", "sdxl"])
def test_it_matters_and_a_scale_of_zero_is_none(
    model: str, folders: dict[str, Path], adapters: dict[tuple[str, str], Path], scene: Scene
) -> None:
    plain, off, on = (
        _load(model, folders, None),
        _load(model, folders, adapters[model, "plain"], 0.0),
        _load(model, folders, adapters[model, "plain"]),
    )
    assert isinstance(on, Shown)
    assert on.shows == {"ip-adapter"}
    said = [
        one.predict_noise(NOISY, AT, replace(scene(one, depth=False), reference=PICTURE)) for one in (plain, off, on)
    ]
    assert torch.equal(said[0].cond, said[1].cond)
    assert torch.equal(said[0].uncond, said[1].uncond)
    assert not torch.allclose(said[0].cond, said[2].cond, atol=1e-4)
    other = on.predict_noise(NOISY, AT, replace(scene(on, depth=False), reference=PICTURE.flip(3)))
    assert not torch.allclose(said[2].cond, other.cond, atol=1e-5)
    # The negative half sees no picture.
    assert torch.equal(said[2].uncond, other.uncond)
    with pytest.raises(GuidanceError, match="--reference IMAGE"):
        on.predict_noise(NOISY, AT, scene(on, depth=False))


@pytest.mark.slow
def test_one_view_after_the_other_is_the_same_and_three_steps_are_finite(
    folders: dict[str, Path], adapters: dict[tuple[str, str], Path], scene: Scene
) -> None:
    path = adapters["sd15", "plus"]
    whole = _load("sd15", folders, path)
    halves = _load("sd15", folders, path, run=LatentDiffusionConfig(sequential_guidance=True))
    given = replace(scene(whole, depth=False), reference=PICTURE)
    expected = whole.predict_noise(NOISY, AT, given)
    for view in (0, 1):
        alone = replace(given, prompt=given.prompt.select([view]), negative=given.negative.select([view]))
        found = halves.predict_noise(NOISY[view : view + 1], AT[:1], alone)
        torch.testing.assert_close(found.cond, expected.cond[view : view + 1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.uncond, expected.uncond[view : view + 1], atol=1e-5, rtol=1e-4)
    image = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(1), requires_grad=True)
    loss = SDSLoss(SDSConfig(guidance_scale=7.5))
    for step in range(3):
        latents = whole.encode_image(image)
        outcome = loss.gradient(latents.detach(), whole, given, progress=step / 3, generator=torch.Generator())
        (gradient,) = torch.autograd.grad(latents, image, outcome.gradient)
        assert bool(torch.isfinite(gradient).all())
        image = (image - 0.01 * gradient).detach().requires_grad_()


def test_a_picture_is_encoded_once_and_one_that_is_not_square_is_seen_whole(
    folders: dict[str, Path], adapters: dict[tuple[str, str], Path]
) -> None:
    adapter = getattr(_load("sd15", folders, adapters["sd15", "plain"]), "_model").components.ip_adapter  # noqa: B009
    wide = torch.rand((1, 3, 20, 60), generator=torch.Generator().manual_seed(1))
    assert adapter.see(wide) is adapter.see(wide)
    assert adapter.see(wide.clone()) is not adapter.see(wide)
    # A change at its very edge, which a middle cut would leave out, is seen.
    edge = wide.clone()
    edge[..., :6] = 0.0
    assert not torch.allclose(adapter.see(edge).shown, adapter.see(wide).shown, atol=1e-5)


def test_one_of_another_model_or_no_numbers_is_refused(
    folders: dict[str, Path], adapters: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    with pytest.raises(GuidanceError, match="does not fit this model"):
        _load("sd15", folders, adapters["sdxl", "plain"])
    broken = {name: value * float("nan") for name, value in load_file(adapters["sd15", "plain"]).items()}
    save_file(broken, tmp_path / "broken.safetensors")
    (tmp_path / "image_encoder").symlink_to(adapters["sd15", "plain"].parent / "image_encoder")
    with pytest.raises(GuidanceError, match="values that are not finite"):
        _load("sd15", folders, tmp_path / "broken.safetensors")


def test_a_run_shows_its_reference(
    folders: dict[str, Path], adapters: dict[tuple[str, str], Path], cube_obj: Path
) -> None:
    """Through the loop, without any ControlNet: another picture makes another texture."""
    guidance = _load("sd15", folders, adapters["sd15", "plain"])
    settings = with_overrides(
        preset_settings("standard", StableDiffusionSpec()), steps=1, views=1, resolution=32, texture_size=32
    )
    mesh, made = prepare_mesh(load_mesh(cube_obj)), list[torch.Tensor]()
    for picture in (PICTURE, PICTURE, PICTURE.flip(3)):
        run = start_optimization(
            mesh, Prompt(text="red"), settings, guidance, sources=SourceTextures(likeness=picture.clone())
        )
        list(run.steps())
        made.append(torch.cat([parameter.detach().flatten() for parameter in run.scene.texture.parameters()]))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
