# SPDX-License-Identifier: Apache-2.0
"""What the panel offers of a method is what the protocol knows, and what is grayed out is not asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import get_args, get_type_hints

import pytest

from blender_addon.client import (
    ArrayRef,
    ConditionsSpec,
    DistillationSpec,
    DType,
    MeshSpec,
    ModelSpec,
    PromptSpec,
    RegulationSpec,
    SettingsSpec,
    TextureJobSpec,
)
from blender_addon.model.methods import (
    FIELDS,
    GRADIENTS,
    LOSSES,
    METHOD_SETTINGS,
    NOISES,
    NORMS,
    REGULATIONS,
    SCHEDULES,
    WEIGHTINGS,
    ChosenMethod,
    has_norm,
    has_norm_limit,
    has_rescale,
)


@dataclass
class Panel:
    """The panel's settings, as they are in a new scene."""

    loss: str = "preset"
    timesteps: str = "preset"
    noise: str = "preset"
    weighting: str = "preset"
    regulation: str = "preset"
    use_clip: bool = False
    clip: float = 0.1
    use_guidance_scale: bool = False
    guidance_scale: float = 7.5
    use_depth: bool = True
    use_depth_scale: bool = False
    depth_scale: float = 1.0
    clip_norm: str = "preset"
    use_clip_quantile: bool = False
    clip_quantile: float = 0.9
    use_guidance_rescale: bool = False
    guidance_rescale: float = 0.7
    use_latent_weight: bool = False
    latent_weight: float = 0.3
    encoder_gradient: str = "preset"
    texture_field: str = "texels"
    warm_start: str = "preset"
    use_normal: bool = False
    normal_scale: float = 0.5
    use_edges: bool = False
    edges_scale: float = 0.5
    use_tile: bool = False
    tile_scale: float = 0.5
    use_shuffle: bool = False
    shuffle_scale: float = 0.5
    reference_scale: float = 0.5
    lora_1: str = ""
    lora_1_scale: float = 1.0
    lora_2: str = ""
    lora_2_scale: float = 1.0
    lora_3: str = ""
    lora_3_scale: float = 1.0
    embedding_1: str = ""
    embedding_1_word: str = ""
    embedding_2: str = ""
    embedding_2_word: str = ""
    depth_model: str = ""
    normal_model: str = ""
    edges_model: str = ""
    tile_model: str = ""
    shuffle_model: str = ""
    reference_adapter: str = ""
    use_vertex_colors: bool = False
    front_prompt: str = ""
    side_prompt: str = ""
    back_prompt: str = ""
    overhead_prompt: str = ""
    underside_prompt: str = ""


def chosen(panel: Panel, model: str = "pocket") -> ChosenMethod:
    return ChosenMethod.of(panel, model)


def test_untouched_it_asks_for_nothing() -> None:
    method = chosen(Panel())
    assert method.distillation() == DistillationSpec()
    assert method.regulation_spec() == RegulationSpec()
    assert method.conditions() == ConditionsSpec()
    assert method.guidance_scale is None
    assert set(METHOD_SETTINGS) == set(vars(Panel()))


@pytest.mark.parametrize(
    ("items", "spec", "name"),
    [
        (LOSSES, DistillationSpec, "kind"),
        (SCHEDULES, DistillationSpec, "timesteps"),
        (NOISES, DistillationSpec, "noise"),
        (WEIGHTINGS, DistillationSpec, "weighting"),
        (GRADIENTS, DistillationSpec, "encoder_gradient"),
        (FIELDS, SettingsSpec, "texture_field"),
    ],
)
def test_losses_and_schedules_are_all_that_the_protocol_has(items: object, spec: type[object], name: str) -> None:
    assert [word for word, *_ in items] == list(get_args(get_type_hints(spec)[name]))  # type: ignore[attr-defined]


def test_regulations_are_the_papers_and_the_quantile() -> None:
    known = get_args(get_type_hints(RegulationSpec)["kind"])
    offered = [word for word, *_ in REGULATIONS]
    assert set(offered) == set(known) - {"global", "sigmoid", "soft"}, "the official code's others are no artist's"


@pytest.mark.parametrize("regulation", [word for word, *_ in REGULATIONS])
@pytest.mark.parametrize("use_clip", [False, True])
@pytest.mark.parametrize("use_depth", [False, True])
def test_whatever_is_clicked_makes_a_job(regulation: str, use_clip: bool, use_depth: bool) -> None:
    panel = Panel(regulation=regulation, use_clip=use_clip, clip=0.25, use_depth=use_depth, use_depth_scale=True)
    method = chosen(panel)
    expected = 0.25 if use_clip and has_norm_limit(regulation) else None
    assert method.regulation_spec().threshold == expected
    assert method.conditions() == ConditionsSpec(depth=use_depth, depth_scale=1.0 if use_depth else None)


def test_numbers_count_where_their_box_is_checked() -> None:
    assert chosen(Panel(use_guidance_scale=True)).guidance_scale == 7.5
    assert chosen(Panel(use_depth_scale=True, depth_scale=0.5)).depth_scale == 0.5
    assert chosen(Panel(depth_scale=0.5)).depth_scale is None


@pytest.mark.parametrize("loss", [word for word, *_ in LOSSES])
@pytest.mark.parametrize("model", ["pocket", "flux", "sdxl"])
def test_noise_and_its_weight_go_out_where_the_loss_knows_them(loss: str, model: str) -> None:
    method = chosen(Panel(loss=loss, noise="surface", weighting="constant", encoder_gradient="linear"), model)
    own = model == "pocket" and loss in ("preset", "hifa")
    spec = method.distillation()
    assert spec.noise == ("preset" if loss == "ism" else "surface")
    assert spec.weighting == ("preset" if own else "constant")
    assert spec.encoder_gradient == ("preset" if own else "linear")


def test_norms_are_those_of_the_protocol() -> None:
    norms = get_args(get_args(get_type_hints(RegulationSpec)["norm"])[0])
    assert [word for word, *_ in NORMS] == ["preset", *norms]


@pytest.mark.parametrize("model", ["pocket", "sdxl"])
def test_every_loss_and_regulation_with_every_box_checked_makes_a_job(job: TextureJobSpec, model: str) -> None:
    """What one of them has no use for is not sent, and what it has is."""
    boxes = {"use_clip": True, "use_clip_quantile": True, "use_guidance_rescale": True, "use_latent_weight": True}
    for (loss, *_), weight in product(LOSSES, (0.0, 0.3)):
        if loss == "rfds":
            continue
        for regulation, *_ in REGULATIONS:
            panel = Panel(loss=loss, regulation=regulation, clip_norm="linf", latent_weight=weight, **boxes)
            method = chosen(replace(panel, weighting="constant", encoder_gradient="linear"), model)
            sent = replace(
                job,
                guidance=ModelSpec(model=model),
                distillation=method.distillation(),
                regulation=method.regulation_spec(),
            )
            assert sent.regulation.norm == ("linf" if has_norm(regulation) else None)
            assert sent.regulation.quantile == (0.9 if regulation == "adaptive" else None)
            assert sent.distillation.guidance_rescale == (0.7 if has_rescale(loss) else None)
            assert sent.distillation.latent_weight == (weight if loss == "hifa" else None)
            own = model == "pocket" and loss == "preset"
            weighs = weight > 0.0 if loss == "hifa" else not own
            assert sent.distillation.weighting == ("constant" if weighs else "preset")
            assert sent.distillation.encoder_gradient == ("linear" if weighs else "preset")


@pytest.fixture
def job() -> TextureJobSpec:
    mesh = MeshSpec(
        name="a",
        positions=ArrayRef("a" * 64, DType.F32, (3, 3)),
        faces=ArrayRef("b" * 64, DType.I32, (1, 3)),
        corner_uvs=ArrayRef("c" * 64, DType.F32, (1, 3, 2)),
    )
    return TextureJobSpec(meshes=(mesh,), prompt=PromptSpec(text="red"))


def test_shuffle_is_not_asked_for_unless_there_is_said_to_be_a_reference() -> None:
    panel = Panel(use_shuffle=True, use_edges=True)
    assert [one.kind for one in ChosenMethod.of(panel, "sd15").controls] == ["edges"]
    shown = ChosenMethod.of(panel, "sd15", has_reference=True).controls
    assert [one.kind for one in shown] == ["edges", "shuffle"]
