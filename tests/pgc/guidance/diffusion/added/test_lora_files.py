# SPDX-License-Identifier: Apache-2.0
"""LoRA files are in the weights as W + s·(alpha/r)·B·A, whatever names they have; others are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.errors import ConfigError, GuidanceError
from pgc.guidance.base import Conditions, Guidance
from pgc.guidance.diffusion.added.headers import sha256_of
from pgc.guidance.diffusion.added.specs import AddedFiles, LoraSpec
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.specs import FluxSpec, SD3Spec, SDXLSpec, StableDiffusionSpec, ZImageSpec, load_guidance
from tests.pgc.guidance.diffusion.added.made import LAYERS, Pairs, kohya_name, make_pairs, write_lora
from tests.pgc.guidance.flow_models import FLOWS, write_flow

CPU = torch.device("cpu")
Scene = Callable[..., Conditions]
NOISY = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
AT = torch.tensor([300, 700])


def _spec(model: str, folders: dict[str, Path], *loras: LoraSpec) -> Any:
    kind: Any = SDXLSpec if model == "sdxl" else StableDiffusionSpec
    return kind(source=str(folders[model]), controlnet=None, added=AddedFiles(loras=loras))


def _lora(path: Path, scale: float = 1.0) -> LoraSpec:
    return LoraSpec(path=str(path), sha256=sha256_of(path), scale=scale)


def _parts(guidance: Guidance) -> dict[str, Any]:
    components = getattr(guidance, "_model").components  # noqa: B009 - private
    found = {"unet": components.unet, "text_encoder": components.text_encoders[0]}
    return {**found, **({"text_encoder_2": components.text_encoders[1]} if len(components.text_encoders) > 1 else {})}


def _weights(parts: dict[str, Any]) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": value.clone() for part, whole in parts.items() for name, value in whole.state_dict().items()
    }


@pytest.fixture(scope="module")
def folders(sd15_folder: Path, sd21_folder: Path, sdxl_folder: Path) -> dict[str, Path]:
    return {"sd15": sd15_folder, "sd21": sd21_folder, "sdxl": sdxl_folder}


def _diffusers(layer: str) -> tuple[str, str]:
    return f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"


def _kohya(xl: bool) -> Callable[[str], tuple[str, str]]:
    def name(layer: str) -> tuple[str, str]:
        return f"{kohya_name(layer, xl=xl)}.lora_down.weight", f"{kohya_name(layer, xl=xl)}.lora_up.weight"

    return name


def _old(layer: str) -> tuple[str, str]:
    """As diffusers wrote them before it used PEFT."""
    if layer.startswith("text_encoder"):
        return f"{layer}.lora_linear_layer.down.weight", f"{layer}.lora_linear_layer.up.weight"
    stem, _, last = layer.replace("to_out.0", "to_out").rpartition(".")
    if ".attn" in stem:
        return f"{stem}.processor.{last}_lora.down.weight", f"{stem}.processor.{last}_lora.up.weight"
    return f"{layer}.lora.down.weight", f"{layer}.lora.up.weight"


def _held(parts: dict[str, Any], before: dict[str, Tensor], pairs: Pairs, factor: float) -> None:
    """By hand: each layer has W + factor·B·A, and nothing else has changed."""
    for name, value in _weights(parts).items():
        pair = pairs.get(name.removesuffix(".weight"))
        expected = before[name]
        if pair is not None:
            up, down = pair
            expected = expected + factor * torch.einsum("or,r...->o...", up.flatten(1), down)
            assert not torch.equal(value, before[name])
        torch.testing.assert_close(value, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["sd15", "sd21", "sdxl"])
@pytest.mark.parametrize("names", ["kohya", "diffusers", "old"])
def test_a_file_is_merged_as_by_hand(model: str, names: str, folders: dict[str, Path], tmp_path: Path) -> None:
    plain = load_guidance(_spec(model, folders), CPU)
    parts = _parts(plain)
    pairs = make_pairs(parts)
    assert len({name.partition(".")[0] for name in pairs}) == len(parts)
    assert all(any(name.endswith(layer) for name in pairs) for layer in LAYERS)
    style = {"kohya": _kohya(model == "sdxl"), "diffusers": _diffusers, "old": _old}[names]
    # kohya's alpha of 3 at rank 2; the others' is the rank.
    path = write_lora(tmp_path / "lora.safetensors", pairs, style, alpha=3.0 if names == "kohya" else None)
    found = load_guidance(_spec(model, folders, _lora(path, 0.7)), CPU)
    _held(_parts(found), _weights(parts), pairs, 0.7 * (1.5 if names == "kohya" else 1.0))


@pytest.mark.slow
def test_several_add_up_and_the_order_of_names_is_that_of_sdxl_too(folders: dict[str, Path], tmp_path: Path) -> None:
    plain = load_guidance(_spec("sdxl", folders), CPU)
    parts = _parts(plain)
    pairs = make_pairs({"unet": parts["unet"]}, layers=("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",))

    def sgm(layer: str) -> tuple[str, str]:
        del layer
        stem = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
        return f"{stem}.lora_down.weight", f"{stem}.lora_up.weight"

    first = write_lora(tmp_path / "sgm.safetensors", pairs, sgm, alpha=2.0)
    second = write_lora(tmp_path / "again.safetensors", pairs, _diffusers)
    found = load_guidance(_spec("sdxl", folders, _lora(first, 0.5), _lora(second, -0.2)), CPU)
    _held(_parts(found), _weights(parts), pairs, 0.3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "factor"),
    [
        ({"unet.r": 2, "unet.lora_alpha": 8}, 4.0),
        ({"unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_q": 1}}, 0.5),
        ({"unet.lora_alpha": 8, "unet.use_rslora": True}, 8 / 2**0.5),
    ],
)
def test_alpha_that_stands_in_the_header_counts(
    header: dict[str, Any], factor: float, folders: dict[str, Path], tmp_path: Path
) -> None:
    parts = _parts(load_guidance(_spec("sd15", folders), CPU))
    pairs = make_pairs({"unet": parts["unet"]}, layers=("attn1.to_q",))
    path = write_lora(tmp_path / "lora.safetensors", pairs, _diffusers, **header)
    _held(_parts(load_guidance(_spec("sd15", folders, _lora(path)), CPU)), _weights(parts), pairs, factor)


def test_a_scale_of_zero_is_none_and_three_steps_are_finite(
    folders: dict[str, Path], tmp_path: Path, scene: Scene
) -> None:
    plain = load_guidance(_spec("sd15", folders), CPU)
    path = write_lora(tmp_path / "lora.safetensors", make_pairs(_parts(plain)), _kohya(False), alpha=1.0)
    off = load_guidance(_spec("sd15", folders, _lora(path, 0.0)), CPU)
    on = load_guidance(_spec("sd15", folders, _lora(path, 0.8)), CPU)
    said = [one.predict_noise(NOISY, AT, scene(one, depth=False)).cond for one in (plain, off, on)]
    assert torch.equal(said[0], said[1])
    assert not torch.allclose(said[0], said[2], atol=1e-4)
    image = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(1), requires_grad=True)
    given, loss = scene(on, depth=False), SDSLoss(SDSConfig(guidance_scale=7.5))
    for step in range(3):
        latents = on.encode_image(image)
        outcome = loss.gradient(latents.detach(), on, given, progress=step / 3, generator=torch.Generator())
        (gradient,) = torch.autograd.grad(latents, image, outcome.gradient)
        assert bool(torch.isfinite(gradient).all())
        image = (image - 0.01 * gradient).detach().requires_grad_()


def test_half_precision_is_added_to_in_full(folders: dict[str, Path], tmp_path: Path) -> None:
    spec = replace(_spec("sd15", folders), run=LatentDiffusionConfig(dtype="bfloat16"))
    parts = _parts(load_guidance(spec, CPU))
    pairs = make_pairs({"unet": parts["unet"]}, layers=("attn1.to_q",))
    path = write_lora(tmp_path / "lora.safetensors", pairs, _diffusers)
    found = _parts(load_guidance(replace(spec, added=AddedFiles(loras=(_lora(path, 0.1),))), CPU))
    for layer, (up, down) in pairs.items():
        name = f"{layer.removeprefix('unet.')}.weight"
        value, before = (dict(one["unet"].state_dict())[name] for one in (found, parts))
        assert value.dtype == torch.bfloat16
        assert torch.equal(value, (before.float() + 0.1 * (up @ down)).bfloat16())


@pytest.fixture(scope="module")
def flow_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("flows")
    return {name: write_flow(place / name, name) for name in FLOWS if name != "flux_dev"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("sd3", ("attn.to_q", "attn.add_k_proj", "ff.net.0.proj", "self_attn.q_proj")),
        ("flux", ("attn.to_q", "attn.add_k_proj", "proj_mlp", "ff.net.0.proj")),
        ("z_image", ("attention.to_q", "feed_forward.w1")),
    ],
)
def test_flow_models_take_them_too(
    name: str, layers: tuple[str, ...], flow_folders: dict[str, Path], tmp_path: Path
) -> None:
    kind: Any = {"sd3": SD3Spec, "flux": FluxSpec, "z_image": ZImageSpec}[name]
    spec = kind(source=str(flow_folders[name]), run=LatentDiffusionConfig(image_size=32))

    def parts_of(guidance: Any) -> dict[str, Any]:
        found = guidance._parts
        return {"transformer": found.transformer, "text_encoder": found.text_encoders[0]}

    parts = parts_of(load_guidance(spec, CPU))
    pairs = make_pairs(parts, layers=layers)
    assert all(any(name.endswith(layer) for name in pairs) for layer in layers)
    path = write_lora(tmp_path / "lora.safetensors", pairs, _diffusers)
    found = load_guidance(replace(spec, added=AddedFiles(loras=(_lora(path, 0.6),))), CPU)
    _held(parts_of(found), _weights(parts), pairs, 0.6)


def test_kohyas_names_of_flux_are_read_and_split(flow_folders: dict[str, Path], tmp_path: Path) -> None:
    spec = FluxSpec(source=str(flow_folders["flux"]), run=LatentDiffusionConfig(image_size=32))
    before = load_guidance(spec, CPU)._parts.transformer  # type: ignore[attr-defined]
    block = before.transformer_blocks[0].attn
    width = block.to_q.weight.shape[0]
    generator = torch.Generator().manual_seed(1)
    down, up = torch.randn(2, width, generator=generator), torch.randn(3 * width, 2, generator=generator)
    stem = "lora_unet_double_blocks_0_img_attn_qkv"
    path = tmp_path / "kohya.safetensors"
    save_file(
        {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(1.0)}, path
    )
    found: Any = load_guidance(replace(spec, added=AddedFiles(loras=(_lora(path, 0.4),))), CPU)
    after = found._parts.transformer.transformer_blocks[0].attn
    for part, rows in zip(("to_q", "to_k", "to_v"), up.chunk(3), strict=True):
        expected = getattr(block, part).weight + 0.4 * 0.5 * (rows @ down)
        torch.testing.assert_close(getattr(after, part).weight, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_file_that_does_not_fit_changes_nothing_and_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    parts = _parts(load_guidance(_spec("sd15", folders), CPU))
    pairs = make_pairs(parts)
    whole = write_lora(tmp_path / "whole.safetensors", pairs, _diffusers)
    tensors = load_file(whole)
    some = next(name for name in tensors if "lora_A" in name)
    cases: dict[str, tuple[dict[str, Tensor], str]] = {
        "wide": ({**tensors, some: torch.zeros(2, 99)}, "made for another model: its layer"),
        "half": ({name: value for name, value in tensors.items() if name != some}, "only one of its two matrices"),
        "more": ({**tensors, "unet.nowhere.lora_A.weight": torch.zeros(2, 4), "unet.nowhere.lora_B.weight": torch.zeros(4, 2)}, "does not have"),  # noqa: E501
        "nan": ({**tensors, some: tensors[some] * float("nan")}, "values that are not finite"),
        "bias": ({**tensors, "unet.conv_in.bias": torch.zeros(4)}, "is no part of a LoRA"),
        "kohya": ({"lora_unet_nowhere.lora_down.weight": torch.zeros(2, 4), "lora_unet_nowhere.lora_up.weight": torch.zeros(4, 2)}, "does not have"),  # noqa: E501
        "empty": ({"unet.alpha": torch.zeros(1)}, "only one of its two matrices"),
    }  # fmt: skip
    for name, (content, said) in cases.items():
        path = tmp_path / f"{name}.safetensors"
        save_file(content, path)
        with pytest.raises(GuidanceError, match=said) as caught:
            load_guidance(_spec("sd15", folders, _lora(path)), CPU)
        assert str(path) in str(caught.value)
    gone = LoraSpec(path=str(tmp_path / "gone.safetensors"), sha256="")
    with pytest.raises(GuidanceError, match="cannot be read as a LoRA"):
        load_guidance(_spec("sd15", folders, gone), CPU)
    for scale in (5.5, -6.0, float("nan")):
        with pytest.raises(ConfigError, match="must lie in"):
            LoraSpec(path="a", sha256="", scale=scale)
