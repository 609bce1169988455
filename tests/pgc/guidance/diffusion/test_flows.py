# SPDX-License-Identifier: Apache-2.0
"""Flow models: what they read, how much noise they see, what they say; and which folders are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline, calculate_shift
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import StableDiffusion3Pipeline
from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from pgc.errors import ConfigError, GuidanceError
from pgc.guidance.base import Conditions, Guidance
from pgc.guidance.diffusion.flow.flux import packed, unpacked
from pgc.guidance.diffusion.flow.noise_schedule import alphas_of, flow_sigmas, sigmas_of
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.specs import FlowSpec, FluxSpec, SD3Spec, ZImageSpec, load_guidance, parse_guidance
from tests.pgc.guidance.flow_models import FLOWS, write_flow

CPU = torch.device("cpu")
SMALL = LatentDiffusionConfig(image_size=32)
PROMPTS = ["red cube", "a ball of blue wood"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write_flow(tmp_path_factory.mktemp("flow") / name, name) for name in FLOWS}


@pytest.fixture(scope="module")
def flows(folders: dict[str, Path]) -> dict[str, Guidance]:
    return {name: load_guidance(parse_guidance(str(path), SMALL), CPU) for name, path in folders.items()}


def _shown(guidance: Guidance) -> Conditions:
    negative = guidance.encode_prompt(["", ""], negative=True)
    return Conditions(prompt=guidance.encode_prompt(PROMPTS), negative=negative)


def _changed(folder: Path, place: Path, part: str, **settings: object) -> Path:
    """The same model with other settings in one JSON file."""
    place.mkdir()
    inside = Path(part)
    for one in folder.iterdir():
        if one.name != inside.parts[0]:
            (place / one.name).symlink_to(one)
    (place / inside.parent).mkdir(exist_ok=True)
    for one in (folder / inside).parent.iterdir() if inside.parent != Path() else ():
        if one.name != inside.name:
            (place / inside.parent / one.name).symlink_to(one)
    (place / inside).write_text(json.dumps(json.loads((folder / inside).read_text()) | settings))
    return place


def test_a_folder_says_which_class_of_model_it_is(folders: dict[str, Path]) -> None:
    kinds = [type(parse_guidance(str(folders[name]))) for name in FLOWS]
    assert kinds == [SD3Spec, FluxSpec, FluxSpec, ZImageSpec]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_prompts_are_read_as_the_pipelines_of_diffusers_read_them(
    folders: dict[str, Path], flows: dict[str, Guidance]
) -> None:
    """Their texts are the same; so are the widths to which they are padded."""
    parts: dict[str, Any] = {name: getattr(flows[name], "_parts") for name in FLOWS}  # noqa: B009 - private
    common = {name: {"vae": part.vae, "transformer": part.transformer} for name, part in parts.items()}
    scheduler = FlowMatchEulerDiscreteScheduler()
    clip, second, t5 = parts["sd3"].text_encoders
    read, read_second, read_t5 = parts["sd3"].tokenizers
    pipeline: Any = StableDiffusion3Pipeline(
        text_encoder=clip,
        tokenizer=read,
        text_encoder_2=second,
        tokenizer_2=read_second,
        text_encoder_3=t5,
        tokenizer_3=read_t5,
        scheduler=scheduler,
        **common["sd3"],
    )
    states, _, pooled, _ = pipeline.encode_prompt(PROMPTS, None, None, do_classifier_free_guidance=False)
    found = flows["sd3"].encode_prompt(PROMPTS)
    assert found.pooled is not None
    torch.testing.assert_close(found.hidden_states, states)
    torch.testing.assert_close(found.pooled, pooled)

    clip, t5 = parts["flux"].text_encoders
    read, read_t5 = parts["flux"].tokenizers
    pipeline = FluxPipeline(
        text_encoder=clip, tokenizer=read, text_encoder_2=t5, tokenizer_2=read_t5, scheduler=scheduler, **common["flux"]
    )
    states, pooled, _ = pipeline.encode_prompt(PROMPTS, None, max_sequence_length=256)
    found = flows["flux"].encode_prompt(PROMPTS)
    assert found.pooled is not None
    torch.testing.assert_close(found.hidden_states, states)
    torch.testing.assert_close(found.pooled, pooled)

    (model,), (tokenizer,) = parts["z_image"].text_encoders, parts["z_image"].tokenizers
    pipeline = ZImagePipeline(text_encoder=model, tokenizer=tokenizer, scheduler=scheduler, **common["z_image"])
    rows, _ = pipeline.encode_prompt(list(PROMPTS), do_classifier_free_guidance=False)
    found = flows["z_image"].encode_prompt(PROMPTS)
    assert found.lengths is not None
    assert found.lengths.tolist() == [len(row) for row in rows]
    for states, length, row in zip(found.hidden_states, found.lengths.tolist(), rows, strict=True):
        torch.testing.assert_close(states[:length], row)


@pytest.mark.parametrize("name", FLOWS)
def test_an_answer_does_not_depend_on_its_neighbours(name: str, flows: dict[str, Guidance]) -> None:
    """Nor on whether both halves are asked for at once: prompts of several lengths, rows selected and repeated."""
    guidance = flows[name]
    shown = _shown(guidance)
    noisy, at = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([100, 900])
    both = guidance.predict_noise(noisy, at, shown)
    assert not torch.allclose(both.cond, both.uncond, atol=1e-3)
    alone = Conditions(prompt=shown.prompt.repeat(2).select([1]), negative=shown.negative.select([0]))
    one = guidance.predict_noise(noisy[1:], at[1:], alone)
    torch.testing.assert_close(one.cond, both.cond[1:], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(one.uncond, both.uncond[1:], atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_the_scale_that_is_told_matters_to_the_one_that_takes_it(folders: dict[str, Path]) -> None:
    def answer(name: str, told: float) -> torch.Tensor:
        guidance = load_guidance(FluxSpec(source=str(folders[name]), embedded_guidance=told, run=SMALL), CPU)
        return guidance.predict_noise(torch.ones(2, 4, 8, 8), torch.tensor([500, 500]), _shown(guidance)).cond

    assert not torch.equal(answer("flux_dev", 1.0), answer("flux_dev", 30.0))
    assert torch.equal(answer("flux", 1.0), answer("flux", 30.0))


def test_packing_is_diffusers_own() -> None:
    latents = torch.randn(2, 3, 4, 6)
    pipeline: Any = FluxPipeline
    torch.testing.assert_close(packed(latents), pipeline._pack_latents(latents, 2, 3, 4, 6))
    torch.testing.assert_close(unpacked(packed(latents), 4, 6), latents)


@pytest.mark.parametrize("tokens", [16, 256, 1024, 4096])
@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_noise_is_that_of_diffusers_sampler(tokens: int, kind: Any) -> None:
    settings: dict[str, Any] = {"use_dynamic_shifting": True, "time_shift_type": kind}
    own: Any = FlowMatchEulerDiscreteScheduler(**settings)
    even = torch.arange(1, 1001, dtype=torch.float64) / 1000
    expected = own.time_shift(calculate_shift(tokens), 1.0, even)
    config = {"_class_name": "FlowMatchEulerDiscreteScheduler", **settings}
    found = flow_sigmas(config, "model", tokens=tokens)
    torch.testing.assert_close(found[:-1], expected[:-1].float(), atol=1e-6, rtol=1e-5)
    fixed = flow_sigmas({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}, "model", tokens=tokens)
    torch.testing.assert_close(fixed[:-1], FlowMatchEulerDiscreteScheduler(shift=3.0).sigmas.flip(0)[:-1])
    assert 0.0 < float(found[0]) < float(found[-1]) < 1.0
    torch.testing.assert_close(sigmas_of(alphas_of(fixed)), fixed, atol=1e-4, rtol=1e-4)


REFUSED: list[tuple[str, str, dict[str, object], str]] = [
    ("sd3", "scheduler/scheduler_config.json", {"_class_name": "EDMEulerScheduler"}, "EDMEuler.*straight flow"),
    ("sd3", "scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler"}, "DDIMScheduler; expected one of a"),
    ("flux", "scheduler/scheduler_config.json", {"invert_sigmas": True}, "with invert_sigmas"),
    ("flux", "scheduler/scheduler_config.json", {"shift": 0}, "shift of its scheduler is 0"),
    ("z_image", "scheduler/scheduler_config.json", {"num_train_timesteps": 1}, "num_train_timesteps is 1"),
    ("flux_dev", "scheduler/scheduler_config.json", {"time_shift_type": "cubic"}, "'cubic'"),
    ("flux_dev", "scheduler/scheduler_config.json", {"max_image_seq_len": 256}, "one number of tokens, 256, twice"),
    ("sd3", "vae/config.json", {"latents_mean": [0.0] * 4}, "normalises latents by latents_mean"),
    ("flux", "model_index.json", {"_class_name": "FluxFillPipeline"}, "is a FluxFillPipeline model; expected"),
    (
        "sd3",
        "model_index.json",
        {"_class_name": "StableDiffusion3ControlNetPipeline"},
        "expected Stable Diffusion 1, 2, XL",
    ),
    ("z_image", "model_index.json", {"_class_name": "QwenImagePipeline"}, "is a QwenImagePipeline model"),
    ("flux", "transformer/config.json", {"_class_name": "X", "in_channels": 32}, r"transformer (could not|takes 32)"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "part", "settings", "says"), REFUSED)
def test_a_model_that_is_not_understood_is_refused_by_name(
    folders: dict[str, Path], tmp_path: Path, name: str, part: str, settings: dict[str, object], says: str
) -> None:
    folder = _changed(folders[name], tmp_path / "model", part, **settings)
    with pytest.raises(GuidanceError, match=says) as refused:
        load_guidance(parse_guidance(str(folder), SMALL), CPU)
    assert "\n" not in str(refused.value)


def test_sizes_that_do_not_fit_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(GuidanceError, match="places up to 64 pixels"):
        load_guidance(SD3Spec(source=str(folders["sd3"]), run=LatentDiffusionConfig(image_size=128)), CPU)
    with pytest.raises(ConfigError, match="t5_length is 1000"):
        SD3Spec(t5_length=1000)
    with pytest.raises(ConfigError, match="embedded_guidance is -1"):
        FluxSpec(embedded_guidance=-1.0)


def test_a_single_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    with pytest.raises(GuidanceError, match="is a single file"):
        load_guidance(FluxSpec(source=str(path)), CPU)


def test_without_t5_its_states_are_zeros_and_clip_says_what_is_left_out(folders: dict[str, Path]) -> None:
    spec = SD3Spec(source=str(folders["sd3"]), t5_length=64, run=SMALL)
    whole, without = load_guidance(spec, CPU), load_guidance(replace(spec, t5=False), CPU)
    long = "a red cube, of oak, back view"
    assert getattr(whole, "left_out")(long) == ()  # noqa: B009 - of LimitedReader
    assert getattr(without, "left_out")(long) == ("of oak",)  # noqa: B009
    states = without.encode_prompt(["red"]).hidden_states
    assert states.shape == whole.encode_prompt(["red"]).hidden_states.shape
    assert not states[:, 24:].any()
    assert states[:, :24].any()


@pytest.mark.parametrize("name", ["sd3", "flux", "z_image"])
def test_the_end_of_a_long_prompt_is_said(name: str, folders: dict[str, Path]) -> None:
    spec = parse_guidance(str(folders[name]), SMALL)
    assert isinstance(spec, FlowSpec)
    spec = replace(spec, **{"text_length" if isinstance(spec, ZImageSpec) else "t5_length": 64})
    guidance: Any = load_guidance(spec, CPU)
    phrases = [f"{letter * 12}" for letter in "abcdef"]
    left = guidance.left_out(", ".join(phrases))
    assert left
    assert left == tuple(phrases[-len(left) :])
    assert guidance.encode_prompt([", ".join(phrases)]).hidden_states.shape[0] == 1
    assert guidance.unknown_words("xyzzy") == ()


def test_weights_come_in_the_precision_asked_for(folders: dict[str, Path]) -> None:
    run = replace(SMALL, dtype="bfloat16", vae_dtype="bfloat16")
    guidance = load_guidance(parse_guidance(str(folders["flux_dev"]), run), CPU)
    assert guidance.dtype == torch.bfloat16
    latents = guidance.encode_image(torch.rand(2, 3, 32, 32))
    found = guidance.predict_noise(latents, torch.tensor([20, 980]), _shown(guidance))
    assert found.cond.dtype == torch.float32
    assert bool(torch.isfinite(found.cond).all())
    assert getattr(guidance, "widen_autoencoder")()  # noqa: B009 - of HalfPrecisionAutoencoder
