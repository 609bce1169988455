# SPDX-License-Identifier: Apache-2.0
"""What the panel shows a model and says of views is what a job may say, whatever is switched on."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from blender_addon.client import ArrayRef, ConditionsSpec, DType, MeshSpec, ModelSpec, PromptSpec, ReferenceSpec
from blender_addon.client import TextureJobSpec as Job
from blender_addon.model.choices import MODEL_NAMES
from blender_addon.model.conditions.controls import CONTROLS, shown_by
from blender_addon.model.conditions.loras import shown_rows
from blender_addon.model.conditions.named import ADAPTER, named_models
from blender_addon.model.conditions.starts import BEGINNINGS, begins_as_usual, grid_objection, wished_warm_start
from blender_addon.model.conditions.views import VIEWS, prompts_of_views
from blender_addon.model.conditions.words import WORD_FILES, wished_words
from blender_addon.model.methods import METHOD_SETTINGS, ChosenMethod
from blender_addon.protocol.records import ModelInfo
from blender_addon.protocol.specs.models import CONTROLS_OF
from pgc.cameras.view_names import VIEW_NAMES
from pgc.runs.view_prompts import prompts_of_views as prompts_at_a_terminal
from tests.blender_addon.model.test_methods import Panel

PICTURE = ReferenceSpec(image=ArrayRef("a" * 64, DType.U8, (4, 4, 3)))
MESH = MeshSpec(
    name="a", positions=ArrayRef("a" * 64, DType.F32, (3, 3)), faces=ArrayRef("b" * 64, DType.I32, (1, 3)),
    corner_uvs=ArrayRef("c" * 64, DType.F32, (1, 3, 2)),
)  # fmt: skip


@pytest.mark.parametrize("model", MODEL_NAMES)
@pytest.mark.parametrize("reference", [None, PICTURE])
def test_whatever_is_switched_on_makes_a_job_for_every_model(model: str, reference: ReferenceSpec | None) -> None:
    for depth, scaled, *on in product([False, True], repeat=2 + len(CONTROLS)):
        switches = {f"use_{kind}": is_on for kind, is_on in zip(CONTROLS, on, strict=True)}
        panel = Panel(use_depth=depth, use_depth_scale=scaled, depth_scale=0.25, normal_scale=0.75, **switches)
        method = ChosenMethod.of(panel, model, has_reference=reference is not None)
        conditions = method.conditions(reference)
        job = Job(meshes=(MESH,), prompt=PromptSpec(text="a"), guidance=ModelSpec(model=model), conditions=conditions)
        wanted = {kind for kind in CONTROLS if switches[f"use_{kind}"] and kind in CONTROLS_OF[model]}
        wanted -= set() if reference else {"shuffle"}
        sent = {one.kind: one.scale for one in job.conditions.controls}
        assert sent.keys() - {"depth"} == wanted
        assert sent.get("normal", 0.75) == 0.75
        if wanted:
            assert ("depth" in sent) == depth
            assert sent.get("depth") == (None if not depth else 0.25 if scaled else 1.0)
        elif "depth" in CONTROLS_OF[model]:
            assert conditions.depth == depth
            assert conditions.depth_scale == (0.25 if depth and scaled else None)
        assert job.conditions.reference == reference


def test_models_of_the_servers_own_are_named_where_a_model_takes_them() -> None:
    panel = Panel(use_edges=True, depth_model="mine", edges_model=" lines ", normal_model="not switched on")
    conditions = ChosenMethod.of(panel, "sd15").conditions()
    assert [(one.kind, one.scale, one.model) for one in conditions.controls] == [
        ("depth", 1.0, "mine"), ("edges", 0.5, "lines"),
    ]  # fmt: skip
    alone = ChosenMethod.of(replace(panel, use_edges=False), "sdxl").conditions()
    assert [(one.kind, one.model) for one in alone.controls] == [("depth", "mine")], "a list for the depth alone"
    assert ChosenMethod.of(replace(panel, use_depth=False, use_edges=False), "sd15").conditions().controls == ()
    assert ChosenMethod.of(panel, "pocket").conditions() == ConditionsSpec()
    listed = [ModelInfo(key=key, state="installed") for key in ("sd15", "edges:lines", "edges:comic", "ip-adapter:eye")]
    assert named_models(listed, "edges") == ("lines", "comic")
    assert named_models(listed, ADAPTER) == ("eye",)
    assert named_models(listed, "sd15") == ()


def test_a_learnt_word_is_called_as_its_file_until_it_has_a_name() -> None:
    panel = Panel(
        embedding_1="//moss.safetensors", embedding_2=" C:\\words\\rust.safetensors ", embedding_2_word=" <r> "
    )
    assert wished_words(panel, "sdxl") == (("//moss.safetensors", "moss"), (panel.embedding_2, "<r>"))
    assert wished_words(replace(panel, embedding_2_word=""), "sd15")[1][1] == "rust"
    assert wished_words(panel, "flux") == wished_words(panel, "pocket") == ()
    panels = (Panel(), replace(panel, embedding_2=""), replace(panel, embedding_1=""), panel)
    assert [shown_rows(one, WORD_FILES) for one in panels] == [(1,), (1, 2), (1, 2), (1, 2)]


def test_untouched_a_reference_changes_nothing_else() -> None:
    assert ChosenMethod.of(Panel(), "sd15", has_reference=True).conditions(PICTURE) == ConditionsSpec(reference=PICTURE)
    assert shown_by("a model of tomorrow") == ("depth",)


@pytest.mark.parametrize("words", ["mossy bricks", "+ mossy", "+mossy ", " + mossy"])
@pytest.mark.parametrize("view", VIEWS)
def test_prompts_of_views_are_those_of_the_command_line(view: str, words: str) -> None:
    found = prompts_of_views("red bricks", Panel(**{f"{view}_prompt": words}))
    assert found == prompts_at_a_terminal("red bricks", {view: words.strip()}, view_dependent=True)  # type: ignore[dict-item]
    assert PromptSpec(text="red bricks", per_view=found).per_view == found


def test_views_without_words_have_the_prompt() -> None:
    assert tuple(VIEWS) == VIEW_NAMES
    assert prompts_of_views("red", Panel(back_prompt="  ", side_prompt="+ ")) == {}


def test_a_grid_is_taken_where_it_can_be() -> None:
    plain = {"maps": {"base_color", "occlusion"}, "target": "object", "begins": False}
    assert grid_objection(**plain) == ""
    changes = ({"maps": {"roughness"}}, {"target": "slot"}, {"target": "selected_faces"}, {"begins": True})
    said = {grid_objection(**{**plain, **change}) for change in changes}
    assert len(said) == 3
    assert "" not in said
    assert replace(Panel(), texture_field="hashgrid").texture_field == "hashgrid"


def test_a_warm_start_is_asked_for_where_there_can_be_one() -> None:
    assert [wished_warm_start(choice, grid=False) for choice in ("preset", "on", "off")] == [None, True, False]
    assert wished_warm_start("off", grid=True) is None


def test_a_job_begins_as_usual_until_a_method_is_chosen() -> None:
    usual = {name: values[0] for name, values in BEGINNINGS.items()}
    assert begins_as_usual(usual)
    assert begins_as_usual({})
    assert begins_as_usual({**usual, "warm_start": "on"})
    for name, other in (
        ("warm_start", "off"),
        ("loss", "csd"),
        ("timesteps", "linear"),
        ("noise", "surface"),
        ("texture_field", "hashgrid"),
        ("use_latent_weight", True),
    ):
        assert not begins_as_usual({**usual, name: other})
        assert name in METHOD_SETTINGS, "a setting of the panel"
