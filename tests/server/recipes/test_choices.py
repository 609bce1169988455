# SPDX-License-Identifier: Apache-2.0
"""What is chosen at a terminal arrives at a server as the same choice."""

from dataclasses import fields, replace

import pytest

from blender_addon.protocol.errors import FieldError
from blender_addon.protocol.specs.job import SettingsSpec
from pgc.demo.config import DemoConfig
from pgc.demo.run import demo_arguments
from pgc.errors import ConfigError
from pgc.remote.job import check_remote_arguments, remote_job, request_for_server
from pgc.runs.arguments import TextureArguments
from pgc.runs.request import load_prepared, load_sources
from pgc.runs.settings.choices import RunChoices
from server.recipes import resolved

ALL = RunChoices(
    preset="fine",
    steps=7,
    views=3,
    resolution=32,
    texture_size=64,
    seed=5,
    maps=("roughness", "metallic"),
    separate_slots=True,
    guidance_scale=2.0,
    guidance_rescale=0.25,
    timesteps="dreamtime",
    noise="surface",
    encoder_gradient="linear",
    weighting="constant",
    distillation="sds",
    regulation="pgc",
    clip_threshold=0.5,
    clip_norm="linf",
    depth=True,
    depth_scale=0.5,
    rig="close-ups",
    texture_field="texels",
    rotate_light=False,
    exposure=0.25,
    environments=("sky",),
)


def job_of(arguments):
    request = arguments.to_request()
    mesh = load_prepared(request, lambda stage, fraction: None)
    return request, remote_job(arguments, request, mesh, load_sources(request, mesh)).spec


def test_every_setting_of_the_wire_is_a_choice():
    assert {item.name for item in fields(SettingsSpec)} <= {item.name for item in fields(RunChoices)}


ALONE = {
    "latent_weight": {"latent_weight": 0.5},
    "weighting": {"weighting": "constant", "latent_weight": 0.5},
    "encoder_gradient": {"encoder_gradient": "linear", "distillation": "sds"},
    "strength": {"strength": 0.5},
    "texture_field": {"texture_field": "hashgrid", "maps": ("base_color",)},
    "mask_start": {"mask_start": "anew"},
    "soft_edge": {"soft_edge": 8},
    "warm_start": {"warm_start": True, "maps": ("base_color",)},
    "explain_light": {"explain_light": True, "maps": ("roughness",)},
    "clip_quantile": {"regulation": "adaptive", "clip_quantile": 0.5},
    "controls": {"controls": ("depth=0.5@0.1-0.75",)},
    "reference_scale": {"reference_scale": 0.25, "maps": ("base_color",)},
}
"""What goes with one loss or regulation, and not with those of `ALL`."""
PATHS = {
    "control_models": {"control_models": {"normal": "me/mine"}, "guidance": "sd15"},
    "ip_adapter": {"ip_adapter": "/a.safetensors", "guidance": "sd15"},
    "reference_by": {"reference_by": "ip-adapter", "guidance": "sd15"},
}
"""What a server has by names of its own; a path of this machine it is not told."""
FILES = ("loras", "embeddings")
"""Files of the prior, which a server puts into it as it loads it (tests/server/worker/test_added.py)."""


@pytest.mark.parametrize("name", PATHS)
def test_a_path_is_refused_where_a_server_has_names(name):
    with pytest.raises(ConfigError, match="with --server give a name that the server's owner has given to one"):
        check_remote_arguments(TextureArguments(mesh="a.obj", prompt="red", **PATHS[name]))


@pytest.mark.parametrize("lit", [False, True])
def test_what_a_server_has_named_is_chosen_by_name(cube_obj, red_texture, lit):
    given = TextureArguments(
        mesh=str(cube_obj),
        prompt="red",
        guidance="sdxl",
        maps=("roughness",) if lit else None,
        reference=str(red_texture),
        controls=("normal=0.5",),
        control_models={"normal": "mine"},
        ip_adapter="plus",
        reference_scale=None if lit else 0.75,
    )
    check_remote_arguments(given)
    request = request_for_server(given)
    mesh = load_prepared(request, lambda stage, fraction: None)
    spec = remote_job(given, request, mesh, load_sources(request, mesh)).spec
    [control], reference = spec.conditions.controls, spec.conditions.reference
    assert (control.kind, control.model) == ("normal", "mine"), "SDXL has no published one, which is no matter then"
    assert (reference.adapter, reference.scale) == ("plus", 0.5 if lit else 0.75)
    prior, settings = resolved(spec)
    assert settings == request.settings, "its colours do not pull"
    assert settings.optimize.likeness_scale == 0
    assert [one.source for one in prior.controls] == ["named:mine"], "where it is the worker puts in"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [None, *(item.name for item in fields(RunChoices) if item.name not in (*PATHS, *FILES))]
)
def test_a_choice_does_on_the_server_what_it_does_here(cube_obj, red_texture, name):
    """Each alone, and all of them together."""
    alone = ALONE.get(name, {name: getattr(ALL, name)}) if name else {}
    one = ALL if name is None else RunChoices(**{"maps": ALL.maps, **alone})
    assert name is None or getattr(one, name) is not None, "a choice that this does not try"
    files = {"strength": "init_texture", "reference_scale": "reference"}
    given = {files[name]: str(red_texture)} if name in files else {}
    if name in ("mask_start", "soft_edge"):
        given = {"init_texture": str(red_texture), "lock_mask": str(red_texture)}
    if name == "explain_light":
        given = {"guidance": "sdxl"}  # The built-in model is told the light.
    request, spec = job_of(TextureArguments.of(one, mesh=str(cube_obj), prompt="red", **given))
    assert resolved(spec) == (request.guidance, request.settings)


def test_strength_takes_steps_away_unless_they_are_named(cube_obj, red_texture):
    begun = {"mesh": str(cube_obj), "prompt": "red", "init_texture": str(red_texture)}
    # Below 1 a run begins without a warm start, and takes a part of the steps that one has without.
    whole = TextureArguments(**begun, warm_start=False).to_request().settings.optimize.steps
    half = TextureArguments(**begun, strength=0.5).to_request().settings.optimize
    assert half.steps == whole / 2
    assert TextureArguments(**begun, strength=0.5, steps=9).to_request().settings.optimize.steps == 9
    assert TextureArguments(**begun, strength=0.01, preset="draft").to_request().settings.optimize.steps == 1


def test_strength_without_a_start_is_refused_here_and_on_the_wire(cube_obj):
    with pytest.raises(ConfigError, match=r"--init-texture"):
        TextureArguments(mesh=str(cube_obj), prompt="red", strength=0.5).to_request()
    _request, spec = job_of(TextureArguments(mesh=str(cube_obj), prompt="red"))
    with pytest.raises(FieldError, match="initial texture"):
        replace(spec, settings=replace(spec.settings, strength=0.5))


@pytest.mark.parametrize(
    ("model", "maps", "says"), [("pocket", ("roughness",), "not told the light"), ("sdxl", None, "of lit pictures")]
)
def test_light_that_is_told_or_not_there_is_not_explained(cube_obj, model, maps, says):
    _request, spec = job_of(TextureArguments(mesh=str(cube_obj), prompt="red", guidance=model, maps=maps))
    with pytest.raises(FieldError, match=says) as caught:
        replace(spec, settings=replace(spec.settings, explain_light=True))
    assert caught.value.field == "settings.explain_light"


def test_the_demo_asks_a_server_for_what_it_does_here(cube_obj):
    config = DemoConfig()
    # Of any mesh: the demo's own takes seconds to read.
    request, spec = job_of(replace(demo_arguments(config.prompts[0], config), mesh=str(cube_obj)))
    assert (request.guidance, request.settings) == config.resolved()
    assert resolved(spec) == config.resolved()
    named = {name: getattr(spec.settings, name) for name in ("steps", "views", "resolution", "texture_size", "seed")}
    assert named == {"steps": 70, "views": 2, "resolution": 128, "texture_size": 512, "seed": 0}, "every number"
