# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from pgc.baking.mesh_masks import MeshMask, read_mesh_mask
from pgc.errors import CheckpointError, ConfigError, PgcError
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.guidance.specs import OracleSpec
from pgc.guidance.vocabulary import Vocabulary
from pgc.images.maps import encode_maps
from pgc.optimization.config import Prompt
from pgc.runs.request import TextureRequest, load_prepared, prepare_run
from pgc.runs.settings.presets import preset_settings, with_overrides
from tests.pgc import needs

ORACLE = OracleSpec(oracle=OracleConfig(image_size=16))
SETTINGS = with_overrides(preset_settings("standard", ORACLE), steps=3, views=2, resolution=16, texture_size=32)


@pytest.fixture
def request_(cube_obj, red_texture):
    return TextureRequest(
        mesh=cube_obj,
        prompt=Prompt(text="red"),
        guidance=ORACLE,
        settings=SETTINGS,
        oracle_texture=red_texture,
        device="cpu",
    )


def finish(run):
    for _ in run.optimization.steps():
        pass
    return encode_maps(run.bake())


@pytest.mark.slow
def test_a_run_goes_towards_what_the_oracle_knows(request_):
    run = prepare_run(replace(request_, settings=with_overrides(SETTINGS, steps=30)))
    gray = run.bake().maps["base_color"][0].mean(dim=(1, 2))
    finish(run)
    red = run.bake().maps["base_color"][0].mean(dim=(1, 2))
    assert red[0] > gray[0] + 0.05
    assert red[1] < gray[1] - 0.05


@pytest.mark.slow
def test_equal_requests_give_equal_bytes_and_another_seed_others(request_):
    first = finish(prepare_run(request_))
    assert finish(prepare_run(request_)) == first
    assert finish(prepare_run(replace(request_, settings=with_overrides(SETTINGS, seed=1)))) != first


@pytest.mark.slow
def test_a_resumed_run_equals_the_uninterrupted_one(request_, tmp_path):
    whole = finish(prepare_run(request_))
    first = prepare_run(request_)
    first.optimization.advance()
    first.save(tmp_path / "c.safetensors")
    second = prepare_run(request_)
    second.resume(tmp_path / "c.safetensors")
    assert second.optimization.step == 1
    assert finish(second) == whole


def change_prompt(request):
    return replace(request, prompt=Prompt(text="blue"))


def change_mesh_file(request):
    text = request.mesh.read_text()
    request.mesh.write_text(text.replace("v -1 -1 -1", "v -1 -1 -1.5"))
    return request


def change_texture_file(request):
    Image.new("RGB", (32, 32), (0, 0, 255)).save(request.oracle_texture)
    return request


@pytest.mark.parametrize("change", [change_prompt, change_mesh_file, change_texture_file])
def test_a_checkpoint_of_another_request_is_refused(request_, tmp_path, change):
    run = prepare_run(request_)
    run.save(tmp_path / "c.safetensors")
    other = prepare_run(change(request_))
    with pytest.raises(CheckpointError, match="another mesh, prompt or settings"):
        other.resume(tmp_path / "c.safetensors")


@pytest.mark.slow
def test_locked_texels_come_back_byte_for_byte(request_, tmp_path):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (32, 32, 3), generator=generator, dtype=torch.uint8)
    Image.fromarray(noise.numpy()).save(tmp_path / "start.png")
    mask = Image.new("L", (32, 32), 0)
    mask.paste(255, (0, 0, 16, 32))
    mask.save(tmp_path / "mask.png")
    run = prepare_run(replace(request_, initial_texture=tmp_path / "start.png", lock_mask=tmp_path / "mask.png"))
    finish(run)
    result = run.bake().to_uint8()["base_color"][0].permute(1, 2, 0)
    assert torch.equal(result[:, :16], noise[:, :16])
    assert not torch.equal(result[:, 16:], noise[:, 16:])


@pytest.mark.slow
def test_a_change_mask_is_a_lock_mask_read_the_other_way(request_, tmp_path):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (32, 32, 3), generator=generator, dtype=torch.uint8)
    Image.fromarray(noise.numpy()).save(tmp_path / "start.png")
    mask = Image.new("L", (32, 32), 0)
    mask.paste(255, (16, 0, 32, 32))
    mask.save(tmp_path / "change.png")
    mask.point(lambda value: 255 - value).save(tmp_path / "lock.png")
    begun = replace(request_, initial_texture=tmp_path / "start.png")
    baked = []
    for masked in ({"change_mask": tmp_path / "change.png"}, {"lock_mask": tmp_path / "lock.png"}):
        run = prepare_run(replace(begun, **masked))
        finish(run)
        baked.append(run.bake().to_uint8()["base_color"][0].permute(1, 2, 0))
    assert torch.equal(baked[0], baked[1])
    assert torch.equal(baked[0][:, :16], noise[:, :16])
    assert not torch.equal(baked[0][:, 16:], noise[:, 16:])


@pytest.mark.slow
def test_what_of_the_mesh_changes_or_stays(request_, red_texture):
    masks = []
    for masked in ({"change_by": "height=0.5..1"}, {"keep_by": "height=0.5..1"}):
        option, text = next(iter(masked.items()))
        mask = read_mesh_mask(option, text)
        run = prepare_run(replace(request_, initial_texture=red_texture, **{option: mask}))
        masks.append(run.sources.lock_mask[0])
    assert torch.equal(masks[0], ~masks[1])
    assert 0.2 < float(masks[0].float().mean()) < 0.8
    assert "change_by" not in request_.hashed()
    begun = replace(request_, initial_texture=red_texture)
    assert replace(begun, change_by=read_mesh_mask("--change-by", "up")).fingerprint() != begun.fingerprint()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lock_mask": Path("m.png")}, "--init-texture"),
        ({"change_mask": Path("m.png")}, r"--change-mask keeps .* \(--init-texture"),
        ({"change_by": MeshMask(kind="edges", low=0.2)}, r"--change-by keeps .* \(--init-texture"),
        ({"change_by": MeshMask(kind="up", low=0.2), "lock_mask": Path("m.png")}, "--lock-mask and --change-by each"),
        ({"lock_mask": Path("m.png"), "change_mask": Path("m.png")}, "give one of them"),
        ({"oracle_texture": None}, "--oracle-texture"),
        ({"prompt": Prompt(text="  ")}, "prompt is empty"),
    ],
)
def test_requests_that_make_no_sense_are_refused(request_, changes, words):
    with pytest.raises(ConfigError, match=words):
        replace(request_, **changes)


def test_a_missing_mesh_is_said(request_, tmp_path):
    with pytest.raises(PgcError, match=r"nowhere\.obj"):
        prepare_run(replace(request_, mesh=tmp_path / "nowhere.obj"))


def test_up_axis_turns_the_mesh(request_):
    as_y = prepare_run(replace(request_, up_axis="y")).mesh.normalization
    as_z = prepare_run(replace(request_, up_axis="z")).mesh.normalization
    assert (as_y.up_axis, as_z.up_axis) == ("y", "z")


@pytest.mark.slow
@needs.XATLAS
def test_unwrapping_replaces_uvs(request_):
    run = prepare_run(replace(request_, unwrap=True))
    assert not torch.equal(
        torch.from_numpy(run.mesh.triangles.corner_uvs),
        torch.from_numpy(prepare_run(request_).mesh.triangles.corner_uvs),
    )


class PickyOracle(OracleGuidance):
    """An oracle with a small vocabulary."""

    vocabulary = Vocabulary(groups={"colors": ("red",)})

    def unknown_words(self, prompt):
        return self.vocabulary.unknown_words(prompt)


def test_unknown_words_are_reported_together_with_the_known(request_):
    guidance = PickyOracle(OracleConfig(image_size=16), torch.device("cpu"))
    run = prepare_run(replace(request_, prompt=Prompt(text="red gryphon")), guidance=guidance)
    assert run.unknown_words == ("gryphon",)
    assert any("gryphon" in warning and "red" in warning for warning in run.warnings)


@pytest.mark.slow
@needs.XATLAS
def test_a_long_unwrap_says_how_long_it_takes(request_, monkeypatch):
    def stages():
        seen = []
        load_prepared(replace(request_, unwrap=True), lambda stage, part: seen.append(stage))
        return set(seen[1:])

    assert stages() == {"Unwrapping"}
    monkeypatch.setattr("pgc.runs.request.expected_seconds", lambda triangles: triangles * 1.1)
    assert stages() == {"Unwrapping 12 triangles (about 13 s)"}
