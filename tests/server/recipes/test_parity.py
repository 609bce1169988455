# SPDX-License-Identifier: Apache-2.0
"""The same job here and by `pgc texture` in one process gives the same bytes on the CPU."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from blender_addon.protocol.specs.job import ModelSpec, PromptSpec, SettingsSpec, TextureJobSpec
from blender_addon.protocol.structure import from_wire, to_wire
from pgc.guidance.specs import load_guidance
from pgc.images.maps import encode_maps
from pgc.mesh import load_mesh, prepare_mesh
from pgc.remote.job import remote_job
from pgc.runs.arguments import TextureArguments
from pgc.runs.request import load_prepared, load_sources, prepare_run
from server.recipes import prepare
from server.recipes.meshes import MeshArrays, assemble
from tests.pgc.baking.test_vertex_colors import square
from tests.server.jobs import mesh_spec, tile_images


def in_process(mesh: Path, prompt: str, **arguments) -> dict:
    run = prepare_run(TextureArguments(mesh=str(mesh), prompt=prompt, device="cpu", **arguments).to_request())
    for _ in run.optimization.steps():
        pass
    return encode_maps(run.bake())


def through_recipes(spec, arrays, cpu) -> dict:
    run = prepare(spec, arrays.read, cpu, load_guidance)
    for _ in run.optimization.steps():
        pass
    return encode_maps(run.bake())


@pytest.mark.slow
def test_an_oracle_job_equals_the_run_in_one_process(oracle_job, arrays, cpu, cube_obj, red_texture):
    expected = in_process(
        cube_obj,
        "red",
        guidance="oracle",
        oracle_texture=str(red_texture),
        steps=3,
        views=2,
        resolution=16,
        texture_size=32,
    )
    assert through_recipes(oracle_job, arrays, cpu) == expected


@pytest.mark.slow
def test_a_lit_oracle_job_equals_the_run_in_one_process(oracle_job, arrays, cpu, cube_obj, red_texture):

    every = ("base_color", "roughness", "metallic", "normal", "occlusion")
    expected = in_process(
        cube_obj,
        "red",
        guidance="oracle",
        oracle_texture=str(red_texture),
        maps=every,
        steps=3,
        views=2,
        resolution=16,
        texture_size=32,
    )
    assert tuple(expected) == every
    assert through_recipes(replace(oracle_job, maps=every), arrays, cpu) == expected


@pytest.mark.slow
def test_separate_slots_equal_the_run_in_one_process(oracle_job, arrays, cpu, cube_obj, red_texture):

    tiny = {"steps": 3, "views": 2, "resolution": 16, "texture_size": 32}
    oracle = {"guidance": "oracle", "oracle_texture": str(red_texture)}
    together = in_process(cube_obj, "red", maps=("metallic",), **oracle, **tiny)
    separate = in_process(cube_obj, "red", maps=("metallic",), separate_slots=True, **oracle, **tiny)
    assert separate != together
    settings = replace(oracle_job.settings, separate_slots=True)
    spec = replace(oracle_job, maps=("base_color", "roughness", "metallic"), settings=settings)
    assert through_recipes(spec, arrays, cpu) == separate


@pytest.mark.slow
def test_faces_without_texture_keep_every_map_of_a_lit_job(oracle_job, arrays, cpu, cube_obj):

    textured = np.ones(12, np.uint8)
    textured[6:] = 0
    mesh = mesh_spec(arrays, cube_obj, textured=textured)
    job = replace(oracle_job, meshes=(mesh,), maps=("base_color", "roughness", "metallic"))
    run = prepare(job, arrays.read, cpu, load_guidance)
    surface = run.optimization.scene.texture.surfaces[0]
    kept = torch.from_numpy((surface.face_index >= 6) & surface.inside)
    before = run.bake()
    for _ in run.optimization.steps():
        pass
    after = run.bake()
    for name, images in after.maps.items():
        assert torch.equal(images[0][:, kept], before.maps[name][0][:, kept]), name
        assert not torch.equal(images[0], before.maps[name][0]), name


@pytest.mark.slow
def test_a_pocket_job_equals_the_run_in_one_process(arrays, cpu, cube_obj, monkeypatch):
    # A warm start like any other, with a third of its steps.
    monkeypatch.setattr("pgc.runs.settings.warm._POCKET_SAMPLER_STEPS", 2)
    spec = TextureJobSpec(
        meshes=(mesh_spec(arrays, cube_obj),),
        prompt=PromptSpec(text="red bricks", negative="blue"),
        settings=SettingsSpec(preset="draft", seed=5, steps=2, views=1, resolution=64, texture_size=64),
    )
    settings = {"preset": "draft", "seed": 5, "steps": 2, "views": 1, "resolution": 64, "texture_size": 64}
    expected = in_process(cube_obj, "red bricks", negative="blue", **settings)
    assert through_recipes(spec, arrays, cpu) == expected


@pytest.mark.slow
def test_locked_texels_and_the_initial_texture_arrive(oracle_job, arrays, cpu, cube_obj, red_texture, tmp_path):

    from blender_addon.protocol.specs.job import TileImage

    start = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    mask[:16] = 255
    Image.fromarray(start).save(tmp_path / "start.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    spec = replace(
        oracle_job,
        settings=replace(oracle_job.settings, texture_size=None),
        initial_texture=tile_images(arrays, tmp_path / "start.png", 32),
        lock_mask=(TileImage(tile=1001, array=arrays.add(mask)),),
    )
    expected = in_process(
        cube_obj,
        "red",
        guidance="oracle",
        oracle_texture=str(red_texture),
        init_texture=str(tmp_path / "start.png"),
        lock_mask=str(tmp_path / "mask.png"),
        steps=3,
        views=2,
        resolution=16,
    )
    assert through_recipes(spec, arrays, cpu) == expected


def over_the_wire(arguments: TextureArguments, cpu) -> dict:
    """The same run as a client of a server sends it, its bytes read as a server reads them."""
    request = arguments.to_request()
    mesh = load_prepared(request, lambda stage, fraction: None)
    job = remote_job(arguments, request, mesh, load_sources(request, mesh))
    spec = from_wire(TextureJobSpec, to_wire(job.spec))
    run = prepare(spec, lambda ref: job.arrays[ref.sha256].reshape(ref.shape), cpu, load_guidance)
    for _ in run.optimization.steps():
        pass
    return encode_maps(run.bake())


@pytest.mark.slow
def test_every_map_that_is_kept_arrives(cpu, cube_obj, red_texture, tmp_path):
    every = ("base_color", "roughness", "metallic", "normal", "occlusion")
    random = np.random.default_rng(1)
    for name in every:
        shape = (32, 32, 3) if name in ("base_color", "normal") else (32, 32)
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    mask = np.zeros((32, 32), np.uint8)
    mask[:13] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    chosen = {
        "oracle_texture": str(red_texture),
        "maps": every,
        "init_texture": str(tmp_path),
        "lock_mask": str(tmp_path / "mask.png"),
        "mask_start": "anew",
    }
    sent = over_the_wire(TextureArguments(mesh=str(cube_obj), prompt="red", **chosen, **TINY), cpu)
    here = {name: value for name, value in TINY.items() if name != "device"}
    assert sent == in_process(cube_obj, "red", **chosen, **here)
    for name in every:
        kept = np.asarray(Image.open(tmp_path / f"{name}.png"))[:13]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent[name][1001])))[:13], kept), name


TINY = {"steps": 3, "views": 2, "resolution": 16, "texture_size": 32, "guidance": "oracle", "device": None}


def _flag(path: Path, mode: str) -> Path:
    """A picture of two colours, one of them in its transparent half."""
    pixels = np.zeros((40, 30, 4), np.uint8)
    pixels[:20], pixels[20:] = (20, 200, 40, 255), (250, 10, 240, 0)
    picture = Image.fromarray(pixels)
    picture.convert(mode).save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "mode"),
    [
        ({"reference_scale": 2.0}, "RGBA"),
        ({}, "L"),
        ({"texture_field": "hashgrid"}, "RGB"),
        # The preset's steps times the strength: ten.
        ({"start": "vertex-colors", "strength": 0.05, "steps": None}, "RGB"),
    ],
)
def test_a_reference_and_each_new_setting_give_the_same_bytes_on_a_server(tmp_path, cpu, red_texture, more, mode):
    given = {**TINY, **more, "oracle_texture": str(red_texture), "reference": str(_flag(tmp_path / "a.png", mode))}
    arguments = TextureArguments(mesh=str(square(tmp_path)), prompt="red", **given)
    here = {**given, "device": "cpu"}
    expected = in_process(square(tmp_path), "red", **{name: here[name] for name in here if name != "device"})
    assert over_the_wire(arguments, cpu) == expected
    without = replace(arguments, reference=None, reference_scale=None)
    assert over_the_wire(without, cpu) != expected, "the picture does something"


@pytest.mark.slow
def test_colours_of_a_mesh_start_a_job_as_they_start_a_run(tmp_path, cpu, arrays, red_texture):
    path = square(tmp_path)
    given = {name: value for name, value in TINY.items() if name != "device"}
    expected = in_process(path, "red", start="vertex-colors", oracle_texture=str(red_texture), **given)
    prepared = prepare_mesh(load_mesh(path))
    source, triangles = prepared.mesh, prepared.triangles
    colors = source.colors[source.corner_colors[triangles.corner_index], :3]
    spec = TextureJobSpec(
        meshes=(mesh_spec(arrays, path, corner_colors=colors.astype(np.float32)),),
        prompt=PromptSpec(text="red"),
        settings=SettingsSpec(steps=3, views=2, resolution=16, texture_size=32),
        guidance=ModelSpec(model="oracle", oracle_texture=tile_images(arrays, red_texture, 32)),
    )
    assert through_recipes(spec, arrays, cpu) == expected
    plain = replace(spec, meshes=(replace(spec.meshes[0], corner_colors=None),))
    assert through_recipes(plain, arrays, cpu) != expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["glb", "stl_soup", "far_away"])
def test_the_prepared_mesh_equals_that_of_the_file_bit_for_bit(kind, tmp_path, arrays):
    path = tmp_path / f"mesh.{'glb' if kind == 'glb' else 'obj'}"
    if kind == "glb":
        shape = trimesh.creation.icosphere(subdivisions=1)
        uv = np.random.default_rng(1).random((len(shape.vertices), 2))
        shape.visual = trimesh.visual.TextureVisuals(uv=uv)
        shape.export(path)
    else:
        # Each corner a vertex of its own, in order: the very case where pools and position indices are equal.
        place = (500_000.0, 312.0, -5_400_000.0) if kind == "far_away" else (0.0, 0.0, 0.0)
        lines = [f"v {x} {y} {z}" for x, y, z in np.random.default_rng(2).random((9, 3)) + place]
        lines += [f"vt {u} {v}" for u, v in np.random.default_rng(3).random((9, 2))]
        lines += [f"f {i}/{10 - i} {i + 1}/{9 - i} {i + 2}/{8 - i}" for i in (1, 4, 7)]
        path.write_text("\n".join(lines) + "\n")
    expected = prepare_mesh(load_mesh(path))
    sent = mesh_spec(arrays, path)
    assert np.abs(arrays.read(sent.positions)).max() < 3.0
    got = assemble(
        [
            MeshArrays(
                name="x",
                positions=arrays.read(sent.positions),
                faces=arrays.read(sent.faces),
                corner_uvs=arrays.read(sent.corner_uvs),
                corner_normals=arrays.read(sent.corner_normals),
            )
        ]
    )
    for name in ("positions", "faces", "corner_uvs", "corner_normals"):
        assert np.array_equal(getattr(got.triangles, name), getattr(expected.triangles, name)), name
    # Densities are of the same surface in other axes: equal but for rounding.
    assert replace(got.report, uvs=expected.report.uvs) == expected.report
    assert got.report.uvs.verdict == expected.report.uvs.verdict
