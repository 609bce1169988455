# SPDX-License-Identifier: Apache-2.0
"""From the wishes of a job to settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.codec import Envelope, decode, encode
from blender_addon.protocol.errors import ErrorCode, FieldError, ProtocolError
from blender_addon.protocol.messages import EventKind, JobEvent, JobInfo, JobResult, JobState, MapFile, Snapshot
from blender_addon.protocol.records import MAX_MAP_FILES
from blender_addon.protocol.specs.job import (
    CameraRigSpec,
    CameraSamplerSpec,
    CameraSpec,
    ConditionsSpec,
    DistillationSpec,
    LightingSpec,
    MeshSpec,
    ModelSpec,
    PromptSpec,
    RegulationSpec,
    SettingsSpec,
    TileImage,
)
from pgc.cameras.sampling import PaperCameraSampler
from pgc.cameras.view_names import view_name
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.gradient_regulation.unregulated import UnregulatedConfig
from pgc.guidance.oracle import OracleGuidance
from pgc.guidance.specs import load_guidance
from pgc.runs.settings.presets import preset_settings, with_maps
from server.recipes import prepare, resolved
from server.recipes.cameras import FixedViews


def _prior(spec):
    return resolved(spec)[0]


def _settings(spec):
    return resolved(spec)[1]


@pytest.fixture
def pocket_job(oracle_job):
    return replace(oracle_job, guidance=ModelSpec(model="pocket"), settings=SettingsSpec())


@pytest.mark.parametrize("preset", ["draft", "standard", "fine"])
@pytest.mark.parametrize("model", ["pocket", "sd15", "sd21", "sdxl"])
def test_what_is_not_given_is_the_presets(pocket_job, preset, model):
    spec = replace(pocket_job, guidance=ModelSpec(model=model), settings=SettingsSpec(preset=preset, warm_start=False))
    prior, settings = resolved(spec)
    assert settings == preset_settings(preset, prior)


def test_what_is_given_replaces_single_values(pocket_job):
    spec = replace(
        pocket_job,
        guidance=ModelSpec(model="pocket", guidance_scale=3.0),
        distillation=DistillationSpec(kind="sds"),
        regulation=RegulationSpec(kind="pgc", threshold=0.2, norm="linf"),
        settings=SettingsSpec(seed=7, steps=5, texture_size=64),
    )
    optimize = _settings(spec).optimize
    assert isinstance(optimize.distillation, SDSConfig)
    assert optimize.distillation.guidance_scale == 3.0
    assert (optimize.regulation.threshold, optimize.regulation.norm) == (0.2, "linf")
    assert (optimize.seed, optimize.steps) == (7, 5)
    sd15 = replace(spec, guidance=ModelSpec(model="sd15"), distillation=DistillationSpec(kind="hifa"))
    assert isinstance(_settings(sd15).optimize.distillation, HiFAConfig)
    none = replace(spec, regulation=RegulationSpec(kind="none"))
    assert isinstance(_settings(none).optimize.regulation, UnregulatedConfig)


def test_depth_can_be_scaled_or_left_out(pocket_job):
    assert _prior(replace(pocket_job, conditions=ConditionsSpec(depth_scale=0.5))).run.control_scale == 0.5
    assert _prior(replace(pocket_job, conditions=ConditionsSpec(depth=False))).run.control_scale == 0.0
    sdxl = replace(pocket_job, guidance=ModelSpec(model="sdxl"), conditions=ConditionsSpec(depth=False))
    assert _prior(sdxl).controlnet is None


@pytest.mark.parametrize("model", ["sd99", "..", "stable-diffusion", "a.safetensors"])
def test_a_model_is_a_key_of_the_registry_and_nothing_else(pocket_job, model):
    """parse_guidance alone would take paths and hub ids (Triton's CVE-2026-24208 began with such a name)."""
    with pytest.raises(ProtocolError) as caught:
        _prior(replace(pocket_job, guidance=ModelSpec(model=model)))
    assert caught.value.error.code is ErrorCode.MODEL_MISSING
    assert caught.value.error.field == "guidance.model"


EYE = (1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, -5.0, 0, 0, 0, 1.0)
LENS = (2.0, 0, 0, 0, 0, 2.0, 0, 0, 0, 0, -1.02, -0.2, 0, 0, -1.0, 0)


@pytest.mark.slow
def test_cameras_and_prompts_arrive(oracle_job, arrays, cpu, monkeypatch):
    rig = CameraRigSpec(cameras=(CameraSpec(world_to_camera=EYE, projection=LENS),))
    prompt = PromptSpec(text="red", per_view={"overhead": "a red roof"}, front_axis="-x")
    asked, seen = [], []
    encode = OracleGuidance.encode_prompt

    def heard(self, prompts, *, negative=False):
        asked.append(prompts)
        return encode(self, prompts, negative=negative)

    def named(camera, front_axis):
        seen.append(view_name(camera, front_axis))
        return seen[-1]

    monkeypatch.setattr(OracleGuidance, "encode_prompt", heard)
    monkeypatch.setattr("pgc.optimization.views.prompts.view_name", named)
    run = prepare(replace(oracle_job, cameras=rig, prompt=prompt), arrays.read, cpu, load_guidance)
    assert isinstance(run.optimization.scene.cameras, FixedViews)
    assert run.prompt.front_axis == "-x"
    assert ["a red roof"] in asked
    before = len(asked)
    run.optimization.advance()
    assert len(asked) == before, "all prompts are encoded before the first step"
    assert set(seen) == {"overhead"}, "the camera looks straight down"
    paper = replace(oracle_job, cameras=CameraSamplerSpec(sampler="paper"))
    run = prepare(paper, arrays.read, cpu, load_guidance)
    assert isinstance(run.optimization.scene.cameras, PaperCameraSampler)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"maps": ("base_color", "normal"), "lighting": LightingSpec(kind="unlit")}, "lighting.kind"),
        ({"lighting": LightingSpec(kind="environments")}, "lighting.kind"),
        ({"maps": ("occlusion",), "lighting": LightingSpec(kind="environments")}, "lighting.kind"),
        ({"guidance": ModelSpec(model="oracle")}, "guidance.oracle_texture"),
        ({"guidance": ModelSpec(model="pocket", revision="main")}, "guidance.revision"),
        ({"settings": SettingsSpec(texture_size=64)}, "guidance.oracle_texture[0]"),
    ],
)
def test_what_cannot_be_done_names_its_field(oracle_job, arrays, cpu, changes, field):
    with pytest.raises(ProtocolError) as caught:
        prepare(replace(oracle_job, **changes), arrays.read, cpu, load_guidance)
    assert caught.value.error.field == field


def test_maps_bring_light_and_what_they_rest_on(oracle_job, pocket_job):
    plain = _settings(pocket_job)
    assert plain.maps == ("base_color",)
    assert plain.material is None
    assert _prior(pocket_job).prompt_suffix == ", flat lighting"
    cold = replace(pocket_job.settings, warm_start=False)
    metal = replace(pocket_job, maps=("metallic", "occlusion"), settings=cold)
    assert _settings(metal).maps == ("base_color", "roughness", "metallic", "occlusion")
    assert _settings(metal).material == with_maps(plain, _prior(metal), metal.maps).material
    assert _prior(metal).prompt_suffix == ", soft lighting"
    unlit = replace(pocket_job, lighting=LightingSpec(kind="unlit"))
    assert _settings(unlit) == plain


def test_what_a_job_says_of_light_is_done(pocket_job):
    lit = replace(pocket_job, maps=("base_color", "roughness"))
    usual = _settings(lit).material
    assert usual is not None
    assert _settings(replace(lit, lighting=LightingSpec(kind="environments"))).material == usual
    light = LightingSpec(kind="environments", rotate=False, exposure=0.0, environments=("overcast",))
    material = _settings(replace(lit, lighting=light)).material
    assert material is not None
    assert (material.lighting.rotate, material.lighting.exposure) == (False, 0.0)
    assert (material.environments, material.drawn) == (("overcast",), 0)
    assert (usual.lighting.rotate, usual.environments) == (True, ("studio", "overcast", "sky"))


def test_a_mesh_without_uvs_names_its_field(oracle_job, arrays, cpu):
    mesh = replace(oracle_job.meshes[0], corner_uvs=None)
    with pytest.raises(ProtocolError) as caught:
        prepare(replace(oracle_job, meshes=(mesh,)), arrays.read, cpu, load_guidance)
    assert caught.value.error.field == "meshes[0].corner_uvs"


@pytest.mark.slow
def test_more_files_than_fit_into_a_result_are_refused_before_the_first_step(oracle_job, arrays, cpu):
    """MAX_MAP_FILES is what a SNAPSHOT holds; a triangle in each of 401 UDIM tiles is one too many."""
    count = MAX_MAP_FILES + 1
    origins = np.array([(tile % 10, tile // 10) for tile in range(count)], np.float32)[:, None]
    corners = np.array([(0.2, 0.2), (0.8, 0.2), (0.2, 0.8)], np.float32)
    mesh = MeshSpec(
        name="wall",
        positions=arrays.add(np.random.default_rng(0).uniform(-1, 1, (3 * count, 3)).astype(np.float32)),
        faces=arrays.add(np.arange(3 * count, dtype=np.int32).reshape(count, 3)),
        corner_uvs=arrays.add(origins + corners),
    )
    with pytest.raises(ProtocolError) as caught:
        prepare(replace(oracle_job, meshes=(mesh,)), arrays.read, cpu, load_guidance)
    assert caught.value.error.field == "meshes"
    assert f"{count} UDIM tiles" in caught.value.error.text


def test_the_largest_result_fits_into_a_snapshot_with_its_event():
    files = [
        MapFile("m" * 32, 1001, 8192, 8192, 4, DType.F32, "linear", "png", "f" * 64, 1 << 40)
        for _ in range(MAX_MAP_FILES)
    ]
    result = JobResult(tuple(files), "f" * 64, 1e6, ("w" * 200,) * 10)
    event = JobEvent("j" * 32, 1 << 20, EventKind.STATE, JobState.SUCCEEDED, 1 << 20, 1 << 20, result=result)
    info = JobInfo("j" * 32, "k" * 32, JobState.SUCCEEDED, name="n" * 1000)
    frames = encode(Envelope(Snapshot(info, (event,), result), "0" * 32, re="1" * 32, session="2" * 32, epoch="3" * 32))
    assert decode(frames).message.result == result
    with pytest.raises(FieldError, match="at most 400"):
        JobResult((*files, files[0]), "f" * 64, 1.0)


@pytest.mark.parametrize("beside", ["light", "initial", "colors", "faces", "locks"])
def test_a_hash_grid_beside_what_it_cannot_do_is_refused_in_the_job(oracle_job, beside):
    grid = replace(oracle_job, settings=SettingsSpec(texture_field="hashgrid"))
    (mesh,), (image,) = grid.meshes, grid.guidance.oracle_texture
    count = mesh.faces.shape[0]
    wishes = {
        "light": {"maps": ("base_color", "roughness")},
        "initial": {"initial_texture": (image,)},
        "colors": {"meshes": (replace(mesh, corner_colors=ArrayRef("a" * 64, DType.F32, (count, 3, 3))),)},
        "faces": {"meshes": (replace(mesh, textured=ArrayRef("a" * 64, DType.U8, (count,))),)},
        "locks": {"lock_mask": (TileImage(tile=1001, array=ArrayRef("a" * 64, DType.U8, (32, 32))),)},
    }
    with pytest.raises(FieldError) as refusal:
        replace(grid, **wishes[beside])
    assert refusal.value.field == "settings.texture_field"


def test_a_warm_start_where_there_can_be_none_is_refused_in_the_job(oracle_job):
    replace(oracle_job, settings=SettingsSpec(warm_start=True), maps=("base_color", "roughness"))
    with pytest.raises(FieldError, match="A warm start paints texels") as refusal:
        replace(oracle_job, settings=SettingsSpec(warm_start=True, texture_field="hashgrid"))
    assert refusal.value.field == "settings.warm_start"
