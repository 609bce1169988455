# SPDX-License-Identifier: Apache-2.0
"""Controls as they stand on the command line, and what a model makes of them."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from blender_addon.protocol.specs.job import CONTROLS_OF, FLOW_MODELS, ModelSpec
from blender_addon.protocol.specs.method import ControlSpec as WireControl
from pgc.errors import ConfigError
from pgc.guidance.control_specs import (
    CONTROL_KINDS,
    KNOWN_CONTROLNETS,
    ControlSpec,
    ControlWindow,
    ControlWish,
    read_control,
)
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.models import needed_parts
from pgc.guidance.specs import (
    FlowSpec,
    GuidanceSpec,
    OracleSpec,
    PocketSpec,
    SDXLSpec,
    StableDiffusionSpec,
    parse_guidance,
)
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.offers import read_control_models, read_controls
from pgc.runs.settings.presets import resolve


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("depth", ControlWish(kind="depth")),
        ("depth=0.8", ControlWish(kind="depth", scale=0.8)),
        (" normal = .3 @ 0-0.6 ", ControlWish(kind="normal", scale=0.3, window=ControlWindow(end=0.6))),
        ("edges=1@t0.2-1", ControlWish(kind="edges", window=ControlWindow(start=0.2, over="noise"))),
        ("depth-official=2", ControlWish(kind="depth-official", scale=2.0)),
        ("tile@0.25-0.75", ControlWish(kind="tile", window=ControlWindow(start=0.25, end=0.75))),
        ("shuffle=0", ControlWish(kind="shuffle", scale=0.0)),
    ],
)
def test_a_control_is_read_and_spelled_again(text: str, wish: ControlWish) -> None:
    assert read_control(text) == wish
    assert read_control(str(wish)) == wish


def test_small_numbers_are_never_spelled_with_an_exponent() -> None:
    assert str(ControlWish(kind="depth", scale=1e-7)) == "depth=0"
    assert str(ControlWish(kind="depth", scale=1 / 3, window=ControlWindow(start=1e-5))) == "depth=0.333333@0.00001-1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pose=1", "'pose=1'; expected KIND=SCALE"),
        ("depth=loud", "expected KIND=SCALE"),
        ("depth=3", r"scale 3; it must lie in \[0, 2\]"),
        ("depth=1@0.7-0.2", "from 0.7 to 0.2; expected two shares"),
        ("depth=1@0-2", "from 0 to 2"),
        ("depth=-1", "expected KIND=SCALE"),
        ("depth=0.5@0.5", "expected KIND=SCALE"),
    ],
)
def test_what_is_no_control_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_controls(text)


def test_a_list_names_each_kind_once() -> None:
    assert read_controls("depth=0.8, normal=0.3@0-0.6,") == ("depth=0.8", "normal=0.3@0-0.6")
    for text in ("depth=1,depth=0.5", "depth=1,depth-official=1", "", ","):
        with pytest.raises(ConfigError, match="each kind once, and one at least"):
            read_controls(text)


def test_controlnets_of_ones_own_are_read(tmp_path) -> None:
    assert read_control_models([]) is None
    assert read_control_models(["normal=me/mine", f"edges={tmp_path}"]) == {"normal": "me/mine", "edges": str(tmp_path)}
    for wrong in (["normal"], ["normal="], ["pose=a/b"], ["normal=a/b", "normal=c/d"]):
        with pytest.raises(ConfigError, match="expected KIND=HUB_ID_OR_FOLDER"):
            read_control_models(wrong)


def _resolved(model: str, text: str, **more: object) -> GuidanceSpec:
    return resolve(RunChoices(controls=read_controls(text), **more), parse_guidance(model))[0]  # type: ignore[arg-type]


def test_a_list_becomes_the_models_controlnets() -> None:
    spec = _resolved("sd15", "depth=0.8@0-0.5,normal=0.3,edges=0.5@t0.2-1")
    assert isinstance(spec, StableDiffusionSpec)
    assert spec.controlnet == StableDiffusionSpec().controlnet
    assert spec.run == LatentDiffusionConfig(control_scale=0.8, control_window=ControlWindow(end=0.5))
    assert [(one.wish.kind, one.source) for one in spec.controls] == [
        ("normal", "lllyasviel/control_v11p_sd15_normalbae"),
        ("edges", "lllyasviel/control_v11p_sd15_canny"),
    ]
    assert [source for source, _ in needed_parts(spec)][2:] == [one.source for one in spec.controls]
    alone = _resolved("sd21", "normal")
    assert isinstance(alone, StableDiffusionSpec)
    assert alone.controlnet is None
    assert alone.controls[0].source == "thibaud/controlnet-sd21-normalbae-diffusers"
    other = _resolved("sdxl", "depth-official=1,normal=1", control_models={"normal": "me/normals"})
    assert isinstance(other, SDXLSpec)
    assert other.controlnet is None
    assert [one.source for one in other.controls] == ["diffusers/controlnet-depth-sdxl-1.0", "me/normals"]
    pocket = _resolved("pocket", "depth=0.4@0.1-1")
    assert pocket == PocketSpec(run=LatentDiffusionConfig(control_scale=0.4, control_window=ControlWindow(start=0.1)))


def test_shorthand_is_a_list_with_depth_alone() -> None:
    for model in ("pocket", "sd15", "sdxl"):
        short = resolve(RunChoices(depth_scale=0.5), parse_guidance(model))[0]
        assert _resolved(model, "depth=0.5") == short


@pytest.mark.parametrize(
    ("model", "text", "says"),
    [
        ("pocket", "depth=1,normal=1", "shown depth alone; leave normal away"),
        ("oracle", "depth=1", "the oracle looks at nothing"),
        ("sd35", "depth=1", "none for this flow model"),
        ("flux", "edges=1", "none for this flow model"),
        ("sdxl", "normal=1", "No ControlNet for normal is known.*--control-model normal="),
        ("sd21", "tile=1", "No ControlNet for tile is known"),
        ("sd21", "shuffle=1", "No ControlNet for shuffle is known"),
    ],
)
def test_what_a_model_cannot_be_shown_is_refused_by_name(model: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        _resolved(model, text)


def test_two_ways_of_saying_it_are_not_taken_together() -> None:
    for more in ({"depth": False}, {"depth_scale": 0.5}):
        with pytest.raises(ConfigError, match="controls are given and depth too"):
            RunChoices(controls=("depth=1",), **more)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="ControlNet is named for tile, which --control does not list"):
        _resolved("sd15", "depth=1", control_models={"tile": "me/mine"})


def test_the_wire_knows_what_each_model_can_be_shown() -> None:
    kinds = get_args(get_type_hints(WireControl)["kind"])
    assert set(kinds) == set(CONTROL_KINDS)
    families = {"sd15": "sd1", "sd21": "sd2", "sdxl": "sdxl"}
    for model, shown in CONTROLS_OF.items():
        if model in families:
            assert set(shown) == set(KNOWN_CONTROLNETS[families[model]]), model  # type: ignore[index]
        spec = parse_guidance(model)
        for kind in kinds:
            taken = kind in shown
            try:
                resolve(RunChoices(controls=(f"{kind}=1",), maps=("roughness",)), spec)
            except ConfigError:
                assert not taken, (model, kind)
            else:
                assert taken, (model, kind)
        assert isinstance(spec, FlowSpec) == (model in FLOW_MODELS)
        assert isinstance(spec, OracleSpec) or ModelSpec(model=model).model == model


def test_a_controlnet_beside_the_model_is_its_own(tmp_path) -> None:
    (tmp_path / "controlnet_normal").mkdir()
    spec = StableDiffusionSpec(source=str(tmp_path))
    found = resolve(RunChoices(controls=("normal=1",)), spec)[0]
    assert isinstance(found, StableDiffusionSpec)
    assert found.controls == (ControlSpec(wish=ControlWish(kind="normal"), source=str(tmp_path / "controlnet_normal")),)
