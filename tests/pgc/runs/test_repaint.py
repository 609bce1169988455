# SPDX-License-Identifier: Apache-2.0
"""What a mask keeps comes back byte for byte in every map and tile; the rest is made anew."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pgc.errors import ConfigError
from pgc.images.maps import encode_maps
from pgc.runs.arguments import TextureArguments
from pgc.runs.request import prepare_run
from pgc.runs.settings.offers import read_map_files

SIDE = 32
EVERY = ("base_color", "roughness", "metallic", "normal", "occlusion")
TINY: dict[str, Any] = {"steps": 2, "views": 2, "resolution": 16, "guidance": "oracle", "device": "cpu"}
_BESIDE = "vt 1.05 0.05\nvt 1.95 0.05\nvt 1.95 0.95\nvt 1.05 0.95\n"
MESHES = {
    "two slots": "usemtl wood\nf 1/1 2/2 3/3 4/4\nusemtl brass\nf 1/5 5/6 6/7 2/8\n",
    "mirrored": "f 1/1 2/2 3/3 4/4\nf 5/2 1/1 4/4 6/3\n",
    "n-gon beside a degenerate face": "f 1/1 2/2 3/3 4/4 6/8 5/5\nf 1/1 1/1 2/2\n",
    "two tiles": "f 1/1 2/2 3/3 4/4\nf 1/9 5/10 6/11 2/12\n",
    "open and not manifold": "f 1/1 2/2 3/3\nf 1/5 2/6 5/7\nf 1/1 2/2 6/4\n",
}
"""Faces of awkward meshes over the same few points."""


def _mesh(folder: Path, faces: str) -> Path:
    points = "v 0 0 0\nv 1 0 0\nv 1 0 1\nv 0 0 1\nv 0 1 0.2\nv 1 1 0\n"
    places = "vt .05 .05\nvt .45 .05\nvt .45 .95\nvt .05 .95\nvt .55 .05\nvt .95 .05\nvt .95 .95\nvt .55 .95\n"
    path = folder / "mesh.obj"
    path.write_text(points + places + _BESIDE + faces)
    return path


def _start(folder: Path, tiles: Sequence[int]) -> tuple[dict[str, dict[int, np.ndarray]], dict[int, np.ndarray]]:
    """Files of every map, and of a mask whose ragged white is kept: what is in them."""
    random = np.random.default_rng(5)
    maps: dict[str, dict[int, np.ndarray]] = {name: {} for name in EVERY}
    masks = {}
    for tile in tiles:
        number = "" if len(tiles) == 1 else f".{tile}"
        for name in EVERY:
            shape = (SIDE, SIDE, 3) if name in ("base_color", "normal") else (SIDE, SIDE)
            maps[name][tile] = random.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(maps[name][tile]).save(folder / f"{name}{number}.png")
        masks[tile] = np.add.outer(np.arange(SIDE), random.integers(0, 9, SIDE)) < SIDE // 2
        Image.fromarray((masks[tile] * 255).astype(np.uint8)).save(folder / f"mask{number}.png")
    return maps, masks


def _result(arguments: TextureArguments) -> dict[str, dict[int, np.ndarray]]:
    run = prepare_run(arguments.to_request())
    for _ in run.optimization.steps():
        pass
    files = encode_maps(run.bake())
    return {name: {t: np.asarray(Image.open(io.BytesIO(data))) for t, data in of.items()} for name, of in files.items()}


def _sha(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("name", MESHES)
@pytest.mark.parametrize("begins", ["present", "anew"])
def test_every_map_is_kept_where_the_mask_is_white(name: str, begins: Any, tmp_path: Path, red_texture: Path) -> None:
    tiles = (1001, 1002) if name == "two tiles" else (1001,)
    maps, masks = _start(tmp_path, tiles)
    number = ".<UDIM>" if len(tiles) > 1 else ""
    oracle = tmp_path / f"red{number}.png"
    for tile in tiles:
        Image.open(red_texture).save(tmp_path / f"red{f'.{tile}' if len(tiles) > 1 else ''}.png")
    arguments = TextureArguments(
        mesh=str(_mesh(tmp_path, MESHES[name])),
        prompt="red",
        maps=EVERY,
        texture_size=SIDE,
        init_texture=str(tmp_path),
        lock_mask=str(tmp_path / f"mask{number}.png"),
        oracle_texture=str(oracle),
        mask_start=begins,
        **TINY,
    )
    done = _result(arguments)
    assert tuple(done) == EVERY
    for map_name, images in done.items():
        changed = 0
        for tile, image in images.items():
            kept = masks[tile]
            assert _sha(image[kept]) == _sha(maps[map_name][tile][kept]), (map_name, tile)
            changed += int((image[~kept] != maps[map_name][tile][~kept]).any(axis=-1).sum())
        assert changed, map_name


@pytest.mark.slow
def test_what_begins_anew_begins_as_without_a_texture(cube_obj: Path, tmp_path: Path, red_texture: Path) -> None:
    maps, masks = _start(tmp_path, (1001,))
    given = TextureArguments(
        mesh=str(cube_obj),
        prompt="red",
        maps=("roughness",),
        texture_size=SIDE,
        init_texture=str(tmp_path),
        lock_mask=str(tmp_path / "mask.png"),
        oracle_texture=str(red_texture),
        mask_start="anew",
        **TINY,
    )
    field = prepare_run(given.to_request()).optimization.scene.texture
    plain = replace(given, init_texture=None, lock_mask=None, mask_start=None)
    bare = prepare_run(plain.to_request()).optimization.scene.texture
    kept = masks[1001]
    for name in ("base_color", "roughness"):
        [now], [without] = field.preview(SIDE).maps[name], bare.preview(SIDE).maps[name]
        assert np.array_equal(now.numpy()[:, ~kept], without.numpy()[:, ~kept]), name
        expected = maps[name][1001].reshape(SIDE, SIDE, -1).transpose(2, 0, 1)[:, kept] / np.float32(255.0)
        low = 0.05 if name == "roughness" else 0.0
        assert np.allclose(now.numpy()[:, kept], expected.clip(low, 1.0), atol=0.02), name


@pytest.mark.slow
def test_maps_by_name_are_the_same_as_those_of_a_folder(cube_obj: Path, tmp_path: Path, red_texture: Path) -> None:
    _start(tmp_path, (1001,))
    of_folder = TextureArguments(
        mesh=str(cube_obj), prompt="red", maps=EVERY, texture_size=SIDE, init_texture=str(tmp_path), **TINY,
        oracle_texture=str(red_texture),
    )  # fmt: skip
    (tmp_path / "others").mkdir()
    (tmp_path / "occlusion.png").unlink()
    named = {}
    for name in EVERY[1:-1]:
        named[name] = str((tmp_path / f"{name}.png").rename(tmp_path / "others" / f"my {name}.png"))
    by_name = replace(of_folder, init_maps=read_map_files([f"{name}={path}" for name, path in named.items()]))
    alone = prepare_run(of_folder.to_request()).sources.initial
    found = prepare_run(by_name.to_request()).sources.initial
    assert alone is not None
    assert found is not None
    assert set(alone.maps) == {"base_color"}
    assert set(found.maps) == set(EVERY[:-1])
    assert by_name.to_request().fingerprint() != of_folder.to_request().fingerprint()
    assert by_name.with_absolute_paths().init_maps == named


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"init_maps": {"roughness": "a.png"}}, "--init-map names a map beside base colour"),
        (
            {"init_maps": {"roughness": "a.png"}, "init_texture": "b.png", "texture_size": 32},
            "--init-map gives roughness, which --maps does not ask for",
        ),
        (
            {
                "init_maps": {"occlusion": "a.png"},
                "init_texture": "b.png",
                "texture_size": 32,
                "maps": ("base_color", "occlusion"),
            },
            "Occlusion is computed",
        ),
        ({"mask_start": "anew"}, "--mask-start is about what a mask leaves free"),
        (
            {"mask_start": "anew", "strength": 0.5, "init_texture": "a.png", "lock_mask": "b.png", "texture_size": 32},
            "--mask-start anew drops it",
        ),
    ],
)
def test_what_cannot_go_together_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        TextureArguments(mesh="mesh.obj", prompt="red", **given).to_request()


@pytest.mark.parametrize("text", ["base_color=a.png", "roughness", "roughness=", "=a.png", "gloss=a.png"])
def test_a_map_without_a_name_or_a_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected MAP=FILE"):
        read_map_files([text])
    with pytest.raises(ConfigError, match="expected MAP=FILE"):
        read_map_files(["normal=a.png", "normal=b.png"])


def test_settings_of_masks_are_not_hashed_where_nobody_chose_them(cube_obj: Path, red_texture: Path) -> None:
    given = TextureArguments(mesh=str(cube_obj), prompt="red", init_texture=str(red_texture))
    plain = given.to_request().hashed()
    assert "mask_start" not in plain["settings"]["texture"]
    assert "initial_maps" not in plain
    masked = replace(given, lock_mask=str(red_texture))
    anew = replace(masked, mask_start="anew").to_request()
    assert anew.hashed()["settings"]["texture"]["mask_start"] == "anew"
    assert anew.fingerprint() != masked.to_request().fingerprint()
