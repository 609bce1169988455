# SPDX-License-Identifier: Apache-2.0
"""Locked texels come back at the depth that was asked for, or it is said before the first step."""

from dataclasses import replace

import numpy as np
import OpenImageIO as oiio
import pytest
import torch
from PIL import Image

from pgc.color_space import linear_from_srgb
from pgc.errors import TextureError
from pgc.export.material import ExportConfig, read_maps
from pgc.guidance.oracle import OracleConfig
from pgc.guidance.specs import OracleSpec
from pgc.images.kept_depth import depth_note
from pgc.images.writing import FORMATS
from pgc.optimization.config import Prompt
from pgc.pictures.contact_sheet import PreviewConfig
from pgc.runs.folder import OutputConfig, RunFolder
from pgc.runs.request import TextureRequest, prepare_run
from pgc.runs.runner import RunHooks, texture_mesh
from pgc.runs.settings.presets import preset_settings, with_overrides
from tests.pgc.image_files import write_with_oiio

SIDE = 16
DEEP = np.random.default_rng(3).integers(0, 65536, (SIDE, SIDE, 4)).astype(np.uint16)
HALF = np.random.default_rng(4).random((SIDE, SIDE, 3)).astype(np.float16)
MASK = np.zeros((SIDE, SIDE, 1), np.uint8)
MASK[:, 5:] = 255


@pytest.fixture
def request_(cube_obj, red_texture, tmp_path):
    oracle = OracleSpec(oracle=OracleConfig(image_size=16))
    settings = preset_settings("standard", oracle)
    return TextureRequest(
        mesh=cube_obj,
        prompt=Prompt(text="red"),
        guidance=oracle,
        settings=with_overrides(settings, steps=2, views=1, resolution=16, texture_size=SIDE),
        oracle_texture=red_texture,
        lock_mask=write_with_oiio(tmp_path / "mask.png", MASK, "uint8"),
        initial_texture=write_with_oiio(tmp_path / "deep.png", DEEP[..., :3], "uint16"),
        device="cpu",
    )


def run(request, folder, image_format):
    """The exported base colour's path, and what was said before the first step."""
    said = []
    export = None if image_format is None else ExportConfig(image_format=FORMATS[image_format], models=())
    outputs = OutputConfig(preview=PreviewConfig(view_size=16), turntable=None, export=export)

    def on_ready(run):
        assert run.optimization.step == 0
        said.extend(run.warnings)

    texture_mesh(request, RunFolder(folder), outputs=outputs, hooks=RunHooks(on_ready=on_ready))
    return next((folder / "export").glob("base_color.*"), None), said


def pixels(path, kind):
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    return np.array(oiio.ImageInput.open(str(path), config).read_image(kind))


@pytest.mark.slow
def test_locked_texels_of_sixteen_bits_are_equal_in_a_png_of_sixteen_bits(request_, tmp_path):
    path, said = run(request_, tmp_path / "out", "png16")
    assert said == []
    got, locked = pixels(path, "uint16"), MASK[..., 0] > 0
    assert np.array_equal(got[locked], DEEP[..., :3][locked])
    assert not np.array_equal(got[~locked], DEEP[..., :3][~locked])


@pytest.mark.slow
def test_alpha_of_sixteen_bits_comes_through_run_export_and_model(request_, tmp_path):
    initial = write_with_oiio(tmp_path / "alpha.png", DEEP, "uint16", oiio__UnassociatedAlpha=1)
    path, said = run(replace(request_, initial_texture=initial), tmp_path / "out", "png16")
    assert np.array_equal(pixels(path, "uint16")[..., 3], DEEP[..., 3])
    assert "has alpha" in said[0]
    with Image.open(tmp_path / "out" / "base_color.png") as image:
        eight = np.array(image)
    assert np.abs(eight[..., 3] / 255 - DEEP[..., 3] / 65535).max() <= 0.5 / 255 + 1e-6
    assert b'"alphaMode":"BLEND"' in (tmp_path / "out" / "textured.glb").read_bytes()
    # `pgc export` and `pgc transfer` start from these files.
    again = read_maps(tmp_path / "out", (1001,))
    assert again.alpha is not None
    assert np.array_equal((again.alpha[0][0] * 255).round().byte().numpy(), eight[..., 3])


@pytest.mark.slow
def test_a_cut_out_is_a_mask_in_the_model(request_, tmp_path):
    leaf = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    leaf[..., 3] = np.where(leaf[..., 3] > 99, 255, 0)
    initial = write_with_oiio(tmp_path / "leaf.png", leaf, "uint8", oiio__UnassociatedAlpha=1)
    run(replace(request_, initial_texture=initial), tmp_path / "out", None)
    assert b'"alphaMode":"MASK"' in (tmp_path / "out" / "textured.glb").read_bytes()
    with Image.open(tmp_path / "out" / "base_color.png") as image:
        assert np.array_equal(np.array(image)[MASK[..., 0] > 0], leaf[MASK[..., 0] > 0])


@pytest.mark.slow
def test_locked_half_floats_are_equal_in_an_exr_of_them(request_, tmp_path):
    initial = write_with_oiio(tmp_path / "half.exr", HALF, "half")
    path, said = run(replace(request_, initial_texture=initial), tmp_path / "out", "exr")
    assert said == []
    assert np.array_equal(pixels(path, "half")[MASK[..., 0] > 0], HALF[MASK[..., 0] > 0])


@pytest.mark.slow
def test_what_eight_bits_cannot_hold_is_said_before_the_first_step(request_, tmp_path):
    _, said = run(request_, tmp_path / "out", None)
    assert said == [
        "The initial texture has 16 bits a channel; locked texels are rounded to the 8 bits of a PNG (png16 keeps 16)."
    ]


ALL_BITS = {
    "8 bits": torch.arange(256).float() / 255.0,
    "16 bits": torch.arange(65536).float() / 65535.0,
}


@pytest.mark.parametrize("depth", ["8 bits", "16 bits", "half float", "float"])
@pytest.mark.parametrize("name", [None, *FORMATS])
def test_a_note_is_there_where_bits_are_lost_and_only_there(depth, name, tmp_path):
    note = depth_note(depth, None if name is None else FORMATS[name], locked=True)
    kept = {
        "8 bits": {None, "png", "png16", "exr", "exr32"},
        "16 bits": {"png16", "exr32"},
        "half float": {"exr"},
        "float": set(),
    }
    assert (note is None) == (name in kept[depth])
    if depth in ALL_BITS and name in {"exr", "exr32"}:
        # Every value of the depth, through the format's linear light and back.
        values = ALL_BITS[depth]
        linear = linear_from_srgb(values).to(torch.float16 if name == "exr" else torch.float32)
        # Two neighbours must not fall together.
        assert (len(linear.unique()) == len(values)) == (note is None)


@pytest.mark.parametrize("name", ["initial_texture", "lock_mask", "oracle_texture"])
def test_an_image_that_cannot_be_read_costs_no_time_for_the_mesh(request_, tmp_path, name):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    stages = []
    with pytest.raises(TextureError, match=r"bad\.png"):
        prepare_run(
            replace(request_, **{name: tmp_path / "bad.png"}), progress=lambda stage, part: stages.append(stage)
        )
    assert stages == []
