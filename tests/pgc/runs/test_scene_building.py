# SPDX-License-Identifier: Apache-2.0
"""Lit runs from a request: which maps come out, that they follow the oracle, resume, locks and initial textures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pgc.errors import ConfigError
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.oracle import OracleConfig
from pgc.guidance.specs import OracleSpec, PocketSpec
from pgc.images.maps import encode_maps
from pgc.maps import MAP_NAMES
from pgc.optimization.config import Prompt
from pgc.runs.request import TextureRequest, prepare_run
from pgc.runs.scene_building import bake_maps
from pgc.runs.settings.lit import MaterialConfig
from pgc.runs.settings.presets import preset_settings, with_maps, with_overrides
from pgc.texture.material_field import MaterialField
from pgc.texture.texel_pyramid import TexelPyramid

ORACLE = OracleSpec(oracle=OracleConfig(image_size=16))
SETTINGS = with_overrides(preset_settings("standard", ORACLE), steps=3, views=2, resolution=16, texture_size=32)


def lit(*maps, **overrides):
    """Two environments only: they take longer to make than these runs."""
    settings = with_maps(with_overrides(SETTINGS, **overrides), ORACLE, maps or MAP_NAMES)
    if settings.material is None:
        return settings
    return replace(settings, material=replace(settings.material, environments=("overcast", "studio"), drawn=0))


@pytest.fixture
def request_(cube_obj, red_texture):
    return TextureRequest(
        mesh=cube_obj,
        prompt=Prompt(text="red"),
        guidance=ORACLE,
        settings=lit(),
        oracle_texture=red_texture,
        device="cpu",
    )


def finish(run):
    for _ in run.optimization.steps():
        pass
    return run.bake()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("maps", "field"),
    [
        (("base_color",), TexelPyramid),
        (("base_color", "occlusion"), TexelPyramid),
        (("roughness",), MaterialField),
        (("metallic", "occlusion"), MaterialField),
        (MAP_NAMES, MaterialField),
    ],
)
def test_the_wanted_maps_come_out(request_, maps, field):
    settings = lit(*maps)
    run = prepare_run(replace(request_, settings=settings))
    assert isinstance(run.optimization.scene.texture, field)
    assert (run.optimization.scene.lighting is None) == (field is TexelPyramid)
    done = finish(run)
    assert tuple(done.maps) == settings.maps
    assert {name: len(images[0]) for name, images in done.maps.items()} == {
        name: 3 if name in ("base_color", "normal") else 1 for name in settings.maps
    }


@pytest.mark.slow
def test_base_color_beside_occlusion_is_that_of_base_color_alone(request_):
    alone = finish(prepare_run(replace(request_, settings=lit("base_color"))))
    beside = finish(prepare_run(replace(request_, settings=lit("base_color", "occlusion"))))
    assert torch.equal(alone.maps["base_color"][0], beside.maps["base_color"][0])
    assert float(beside.maps["occlusion"][0].min()) == 1.0


@pytest.mark.slow
def test_a_lit_run_finds_what_the_oracle_shows(request_):
    """The oracle's texture says base colour only: then it is matte."""
    run = prepare_run(replace(request_, settings=lit(steps=80)))
    inside = torch.from_numpy(run.optimization.scene.texture.surfaces[0].inside)
    before = run.bake()
    after = finish(run)

    def error(texture, name, truth):
        return float((texture.maps[name][0][:, inside] - torch.tensor(truth)[:, None]).abs().mean())

    red = (220 / 255, 20 / 255, 20 / 255)
    assert error(after, "base_color", red) < 0.5 * error(before, "base_color", red)
    assert error(after, "roughness", (1.0,)) < 0.8 * error(before, "roughness", (1.0,))
    assert error(after, "metallic", (0.0,)) < error(before, "metallic", (0.0,))
    assert error(after, "normal", (0.5, 0.5, 1.0)) < 0.1


@pytest.mark.slow
def test_light_is_drawn_anew_for_every_step(request_):
    scene = prepare_run(request_).optimization.scene
    assert scene.lighting is not None
    cameras = scene.cameras.sample(2, np.random.default_rng(0))
    drawn = [scene.lighting.draw(cameras, torch.Generator().manual_seed(seed)) for seed in range(4)]
    turns = {tuple(one.render.light.rotation.tolist()) for one in drawn if one.render is not None}
    assert len(turns) == 4
    assert all(one.reference is one.render for one in drawn)


@pytest.mark.slow
def test_equal_requests_give_equal_bytes_and_a_resumed_run_too(request_, tmp_path):
    whole = encode_maps(finish(prepare_run(request_)))
    first = prepare_run(request_)
    first.optimization.advance()
    first.save(tmp_path / "c.safetensors")
    second = prepare_run(request_)
    second.resume(tmp_path / "c.safetensors")
    assert second.optimization.step == 1
    assert encode_maps(finish(second)) == whole
    other = replace(request_, settings=replace(request_.settings, optimize=lit(seed=1).optimize))
    assert encode_maps(finish(prepare_run(other))) != whole


def test_a_run_for_other_maps_is_another_run(request_):
    assert replace(request_, settings=lit("roughness")).fingerprint() != request_.fingerprint()


@pytest.mark.slow
def test_an_initial_base_color_is_where_a_lit_run_starts_and_locked_texels_stay(request_, tmp_path):
    generator = torch.Generator().manual_seed(0)
    # No darker than any base colour may be, see MaterialFieldConfig.
    noise = torch.randint(8, 256, (32, 32, 3), generator=generator, dtype=torch.uint8)
    Image.fromarray(noise.numpy()).save(tmp_path / "start.png")
    mask = Image.new("L", (32, 32), 0)
    mask.paste(255, (0, 0, 16, 32))
    mask.save(tmp_path / "mask.png")
    run = prepare_run(replace(request_, initial_texture=tmp_path / "start.png", lock_mask=tmp_path / "mask.png"))
    before = run.bake().to_uint8()
    assert torch.equal(before["base_color"][0].permute(1, 2, 0), noise)
    after = finish(run).to_uint8()
    assert torch.equal(after["base_color"][0][..., :16], before["base_color"][0][..., :16])
    assert not torch.equal(after["base_color"][0][..., 16:], before["base_color"][0][..., 16:])
    for name in ("roughness", "metallic"):
        assert torch.equal(after[name][0][..., :16], before[name][0][..., :16])
        assert not torch.equal(after[name][0], before[name][0])


@pytest.mark.slow
def test_a_folder_of_maps_is_where_a_lit_run_starts(request_, tmp_path):
    generator = np.random.default_rng(1)
    shapes = {"base_color": (32, 32, 3), "roughness": (32, 32), "metallic": (32, 32), "normal": (32, 32, 3)}
    # No darker or smoother than may be, see MaterialFieldConfig; normals within 45 degrees.
    bytes_ = {name: generator.integers(100, 200, shape, dtype=np.uint8) for name, shape in shapes.items()}
    bytes_["normal"][..., 2] = 250
    for name, array in bytes_.items():
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    request = replace(request_, initial_texture=tmp_path)
    run = prepare_run(request)
    before = run.bake().to_uint8()
    for name, array in bytes_.items():
        assert torch.equal(before[name][0].permute(1, 2, 0).squeeze(-1), torch.from_numpy(array))
    print_ = request.fingerprint()
    assert replace(request, rasterizer="nvdiffrast", device="cpu").fingerprint() == print_, "moves to another machine"
    (tmp_path / "preview.png").write_bytes(b"of no matter")
    assert request.fingerprint() == print_
    Image.fromarray(bytes_["metallic"]).save(tmp_path / "roughness.png")
    assert request.fingerprint() != print_
    unlit = prepare_run(replace(request, settings=lit("base_color")))
    assert torch.equal(unlit.bake().to_uint8()["base_color"][0], before["base_color"][0])


def test_occlusion_without_rays_is_refused(request_):
    class Blind:
        """A rasteriser that is no ray caster."""

        def render(self, cameras, resolution):
            raise AssertionError("nothing is rendered here")

    run = prepare_run(replace(request_, settings=lit("occlusion")))
    with pytest.raises(ConfigError, match="Blind does not cast"):
        bake_maps(replace(run.optimization.scene, rasterizer=Blind()), run.mesh, run.request.settings)


def test_material_settings_reach_the_scene(request_):
    settings = replace(lit(), material=MaterialConfig(environments=("sky",), drawn=0))
    scene = prepare_run(replace(request_, settings=settings)).optimization.scene
    assert [one.name for one in scene.lighting.environments] == ["sky"]
    assert scene.penalty is None


@pytest.mark.slow
def test_tiles_get_an_image_each_of_every_map(request_, tmp_path):
    path = tmp_path / "two.obj"
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
    lines = [f"v {x} {y} {z}" for z in (0, 1) for x, y in corners]
    lines += [f"vt {0.1 + 0.8 * u + tile} {0.1 + 0.8 * v}" for tile in (0, 1) for u, v in corners]
    path.write_text("\n".join([*lines, "f 1/1 2/2 3/3 4/4", "f 5/5 6/6 7/7 8/8"]) + "\n")
    Image.new("RGB", (32, 32), (20, 20, 220)).save(tmp_path / "red.1002.png")
    request_.oracle_texture.rename(tmp_path / "red.1001.png")
    done = finish(prepare_run(replace(request_, mesh=path, oracle_texture=tmp_path / "red.<UDIM>.png")))
    assert done.tiles == (1001, 1002)
    assert all(len(images) == 2 for images in done.maps.values())


def test_how_a_model_is_made_to_fit_belongs_to_no_run_that_did_not_ask_for_it(tmp_path: Path, monkeypatch) -> None:
    """Checkpoints of versions that knew nothing of it go on."""
    mesh, hashed, dumps = tmp_path / "mesh.obj", [], json.dumps

    def kept(settings, **how):
        hashed.append(settings["guidance"]["run"])
        return dumps(settings, **how)

    monkeypatch.setattr("pgc.runs.texture_request.json.dumps", kept)
    mesh.write_text("v 0 0 0\n")
    request = TextureRequest(mesh=mesh, prompt=Prompt(text="red"), guidance=PocketSpec(), device="cpu")
    asked = LatentDiffusionConfig(memory=MemorySavings(rows=1))
    assert request.fingerprint() != replace(request, guidance=PocketSpec(run=asked)).fingerprint()
    assert "memory" not in hashed[0]
    assert hashed[1]["memory"] == {"rows": 1, "streamed": False}
