# SPDX-License-Identifier: Apache-2.0
"""A prior under other settings is the one that would have been loaded, with the weights that are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pgc.guidance.base import Conditions
from pgc.guidance.control_specs import ControlSpec, ControlWindow, ControlWish
from pgc.guidance.diffusion.added.specs import AddedFiles, IpAdapterSpec, LoraSpec
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.retuning import retuned, weights_of
from pgc.guidance.specs import (
    FluxSpec,
    OracleSpec,
    PocketSpec,
    SD3Spec,
    SDXLSpec,
    StableDiffusionSpec,
    ZImageSpec,
    load_guidance,
)
from tests.pgc.guidance.flow_models import write_flow

CPU = torch.device("cpu")
RUN = LatentDiffusionConfig(
    sequential_guidance=True,
    control_scale=0.4,
    control_window=ControlWindow(end=0.5),
    image_size=64,
    memory=MemorySavings(rows=1),
)
LORA = LoraSpec(path="a", sha256="1")
ADAPTER = IpAdapterSpec(path="a", sha256="2", image_encoder="b")
CONTROL = ControlSpec(wish=ControlWish(kind="edges"), source="x")
SAME: list[tuple[Any, Any]] = [
    (PocketSpec(), PocketSpec(prompt_suffix=", lit", run=RUN)),
    (StableDiffusionSpec(), StableDiffusionSpec(run=RUN)),
    (SDXLSpec(controls=(CONTROL,)), SDXLSpec(controls=(replace(CONTROL, wish=ControlWish(kind="edges", scale=0.2)),))),
    (
        SDXLSpec(added=AddedFiles(ip_adapter=ADAPTER)),
        SDXLSpec(added=AddedFiles(ip_adapter=replace(ADAPTER, scale=1.5))),
    ),
    (FluxSpec(), FluxSpec(t5_length=64, embedded_guidance=1.0, run=RUN)),
    (SD3Spec(), SD3Spec(t5_length=64)),
    (ZImageSpec(), ZImageSpec(text_length=64)),
    (Zero123Spec(), Zero123Spec(run=RUN)),
    (OracleSpec(), OracleSpec()),
]
OTHER: list[tuple[Any, Any]] = [
    (PocketSpec(), PocketSpec(run=LatentDiffusionConfig(dtype="bfloat16"))),
    (PocketSpec(), PocketSpec(run=LatentDiffusionConfig(vae_dtype="bfloat16"))),
    (SDXLSpec(), SDXLSpec(run=LatentDiffusionConfig(memory=MemorySavings(streamed=True)))),
    (SDXLSpec(), SDXLSpec(run=LatentDiffusionConfig(empty_prompt="encoded"))),
    (SDXLSpec(), SDXLSpec(source="other")),
    (SDXLSpec(), SDXLSpec(controlnet=None)),
    (SDXLSpec(), SDXLSpec(half_precision_vae=None)),
    (SDXLSpec(), SDXLSpec(controls=(CONTROL,))),
    (SDXLSpec(controls=(CONTROL,)), SDXLSpec(controls=(replace(CONTROL, source="y"),))),
    (SDXLSpec(added=AddedFiles(loras=(LORA,))), SDXLSpec(added=AddedFiles(loras=(replace(LORA, scale=0.5),)))),
    (SDXLSpec(), SDXLSpec(added=AddedFiles(ip_adapter=ADAPTER))),
    (SD3Spec(), SD3Spec(t5=False)),
    (FluxSpec(), SD3Spec()),
]


def test_what_is_in_the_weights_is_told_from_what_is_not() -> None:
    assert [one for one in SAME if weights_of(one[0]) != weights_of(one[1])] == []
    assert [one for one in OTHER if weights_of(one[0]) == weights_of(one[1])] == []


@pytest.mark.slow
def test_the_built_in_model_answers_as_if_it_were_loaded_anew(
    pocket_folder: Path, scene: Callable[..., Conditions]
) -> None:
    before = PocketSpec(source=str(pocket_folder))
    first: Any = load_guidance(before, CPU)
    # What a loss trained beside the network is no part of the next job's.
    hooks = [len(module._forward_hooks) for module in first._model._model.unet.modules()]
    first.trainable_denoiser(rank=2, seed=0)
    spec = replace(before, prompt_suffix=", blue", run=RUN)
    found: Any = retuned(first, spec)
    assert [len(module._forward_hooks) for module in found._model._model.unet.modules()] == hooks
    _same_answers(found, load_guidance(spec, CPU), scene)
    assert found._model._model.unet is first._model._model.unet
    assert found.encode_prompt(["red brick"]).hidden_states.ne(first.encode_prompt(["red brick"]).hidden_states).any()


@pytest.mark.slow
def test_controls_speak_as_loudly_as_is_wished_now(sdxl_folder: Path, scene: Callable[..., Conditions]) -> None:
    # The same weights once as the model's own control, and once as a further one.
    net = str(sdxl_folder / "controlnet")
    further = ControlSpec(wish=ControlWish(kind="depth-official"), source=net)
    before = SDXLSpec(source=str(sdxl_folder), controlnet=net, controls=(further,))
    softer = replace(further, wish=ControlWish(kind="depth-official", scale=0.3))
    spec = replace(before, controls=(softer,), run=replace(RUN, image_size=None))
    first: Any = load_guidance(before, CPU)
    found = retuned(first, spec)
    _same_answers(found, load_guidance(spec, CPU), scene)
    given = scene(found)
    assert first.predict_noise(*_asked(first), given).cond.ne(found.predict_noise(*_asked(found), given).cond).any()


@pytest.mark.slow
def test_a_flow_is_told_its_guidance_anew(tmp_path: Path, scene: Callable[..., Conditions]) -> None:
    spec = FluxSpec(
        source=str(write_flow(tmp_path / "flux", "flux_dev")), t5_length=16, run=LatentDiffusionConfig(image_size=32)
    )
    other = replace(spec, t5_length=24, embedded_guidance=1.0)
    found = retuned(load_guidance(spec, CPU), other)
    _same_answers(found, load_guidance(other, CPU), lambda guidance: scene(guidance, depth=False))


def test_another_model_is_no_change_of_settings(pocket_folder: Path) -> None:
    with pytest.raises(TypeError, match="not loaded by a FluxSpec"):
        retuned(load_guidance(PocketSpec(source=str(pocket_folder)), CPU), FluxSpec())


def _asked(guidance: Any) -> tuple[torch.Tensor, torch.Tensor]:
    size = guidance.encode_image(torch.zeros(1, 3, 32, 32)).shape[1:]
    return torch.randn((2, *size), generator=torch.Generator().manual_seed(1)), torch.tensor([300, 700])


def _same_answers(found: Any, wanted: Any, scene: Callable[..., Conditions]) -> None:
    given = scene(wanted)
    assert torch.equal(found.encode_prompt(["red"]).hidden_states, wanted.encode_prompt(["red"]).hidden_states)
    said, expected = (one.predict_noise(*_asked(one), given) for one in (found, wanted))
    assert torch.equal(said.cond, expected.cond)
    assert torch.equal(said.uncond, expected.uncond)
