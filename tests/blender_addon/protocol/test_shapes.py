# SPDX-License-Identifier: Apache-2.0
"""Jobs for new shapes: what they may say, and meshes as they travel. Damaged ones are told in a sentence."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from blender_addon.protocol import meshes
from blender_addon.protocol.arrays import DType
from blender_addon.protocol.errors import ErrorCode, FieldError, ProtocolError
from blender_addon.protocol.job_size import BYTES_PER_PICTURE_PIXEL, refusal, size_of
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.meshes import PreviewMesh, ResultMesh, preview_mesh, read_result
from blender_addon.protocol.messages import MapFile, ModelInfo
from blender_addon.protocol.specs.job import (
    ConditionsSpec,
    ControlSpec,
    LightingSpec,
    MapName,
    ModelSpec,
    PromptSpec,
    SettingsSpec,
    ShapeSpec,
)
from blender_addon.protocol.specs.offers import maps_of_version, models_of_version
from blender_addon.protocol.specs.picture import MOST_PICTURE_BYTES, PictureHeader, PictureSpec, picture_header
from blender_addon.protocol.structure import from_wire, to_wire
from tests.blender_addon.protocol.samples import mesh, picture_spec, ref, shape_spec, spec

BARE = shape_spec().meshes[0]
MANY = replace(BARE, faces=ref(DType.I32, 200_000, 3), corner_uvs=None, material_index=None)

TOO_MANY = replace(MANY, faces=ref(DType.I32, 500_000, 3))


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"maps": ("shape", "base_color")}, "maps", "a job of its own"),
        ({"meshes": (BARE, BARE)}, "meshes", "Got 2 meshes"),
        ({"meshes": (), "shape": None}, "meshes", "Got 0 meshes"),
        ({"shape": ShapeSpec(geometry="volume")}, "meshes", "send none"),
        ({"meshes": (replace(BARE, textured=mesh().textured),)}, "meshes[0].textured", "leave it out"),
        ({"meshes": (TOO_MANY,), "shape": ShapeSpec(geometry="dmtet")}, "meshes[0].faces", "Got 500,000"),
        (
            {"meshes": (), "shape": ShapeSpec(geometry="volume"), "settings": SettingsSpec(resolution=2048)},
            "settings.resolution",
            "up to 1024",
        ),
        ({"meshes": (MANY,), "shape": ShapeSpec(subdivide=1)}, "shape.subdivide", "Got 800,000 triangles"),
        ({"guidance": ModelSpec(model="oracle"), "shape": None}, "guidance.model", "no shape"),
        ({"guidance": ModelSpec(), "shape": ShapeSpec(loss="normal")}, "shape.loss", "take rgb"),
        ({"guidance": ModelSpec(model="flux"), "shape": ShapeSpec(hold=True)}, "shape.hold", "no ControlNet"),
        ({"guidance": ModelSpec(model="sd15", guidance_scale=5.0)}, "guidance.guidance_scale", "for textures"),
        ({"settings": SettingsSpec(texture_size=64)}, "settings.texture_size", "for textures"),
        ({"settings": SettingsSpec(warm_start=False)}, "settings.warm_start", "for textures"),
        ({"lighting": LightingSpec(kind="unlit")}, "lighting", "for textures"),
        ({"conditions": ConditionsSpec(controls=(ControlSpec(kind="depth"),))}, "conditions", "for textures"),
    ],
)
def test_what_a_shape_has_no_use_for_is_refused_by_its_name(changes, field, says):
    with pytest.raises(FieldError, match=says) as caught:
        shape_spec(**changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"cubes": 8}, "cubes"),
        ({"geometry": "dmtet", "cubes": 97}, "cubes"),
        ({"geometry": "dmtet", "subdivide": 1}, "subdivide"),
        ({"subdivide": 7}, "subdivide"),
        ({"geometry": "volume", "loss": "both"}, "loss"),
        ({"geometry": "volume", "hold": True}, "hold"),
        ({"geometry": "volume", "cubes": 8}, "cubes"),
        ({"latents_until": 0.5}, "latents_until"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_choices_that_do_not_go_together_are_refused(wish, field):
    with pytest.raises(FieldError) as caught:
        ShapeSpec(**wish)
    assert caught.value.field == field


def test_a_texture_has_no_shape_and_a_shape_no_texels():
    with pytest.raises(FieldError, match="maps are shape alone"):
        spec(shape=ShapeSpec())
    size = size_of(shape_spec())
    assert (size.triangles, size.texels) == (968 * 16, 0)


def test_a_volume_has_no_mesh():
    job = shape_spec(meshes=(), shape=ShapeSpec(geometry="volume"), guidance=ModelSpec(model="sd15"))
    assert job.imagines
    assert job.refs() == {}
    assert from_wire(type(job), to_wire(job)) == job
    assert refusal(job, DEFAULT_LIMITS) is None
    assert not shape_spec().imagines
    with pytest.raises(FieldError, match="Got 0 meshes"):
        spec(meshes=())


def test_an_older_session_is_offered_no_shapes():
    every = MapName.__args__
    assert maps_of_version(every, 2) == every
    assert maps_of_version(every, 1) == tuple(name for name in every if name != "shape")


def picture(**changes: object) -> PictureSpec:
    return replace(picture_spec().shape.picture, **changes)


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"meshes": (BARE,)}, "meshes", "begins as the picture's outline"),
        ({"shape": ShapeSpec(picture=picture())}, "meshes", "Got 0 meshes"),
        (
            {"shape": ShapeSpec(geometry="volume", picture=picture()), "meshes": (BARE,)},
            "meshes",
            "begins from nothing",
        ),
        ({"prompt": PromptSpec(text="a mug")}, "prompt.text", "reads no prompt"),
        ({"guidance": ModelSpec()}, "prompt.text", "prompt is empty"),
        ({"shape": ShapeSpec(geometry="volume")}, "shape.picture", "send one"),
        ({"maps": ("base_color",), "shape": None}, "guidance.model", "no textures"),
    ],
)
def test_what_does_not_go_with_a_picture_is_refused_by_its_name(changes, field, says):
    with pytest.raises(FieldError, match=says) as caught:
        picture_spec(**changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"width": 8193}, "width"),
        ({"height": 0}, "height"),
        ({"elevation": 81.0}, "elevation"),
        ({"name": "n" * 129}, "name"),
        ({"file": ref(DType.U8, 8, 8)}, "file"),
        ({"file": ref(DType.U8, MOST_PICTURE_BYTES + 1)}, "file"),
    ],
)
def test_a_picture_has_limits_that_are_known_before_it_is_sent(wrong, field):
    with pytest.raises(FieldError) as caught:
        picture(**wrong)
    assert caught.value.field == field


def test_a_picture_is_judged_by_its_colors_and_counts_in_a_jobs_memory():
    for wish, field in (({"loss": "normal"}, "loss"), ({"hold": True}, "hold")):
        with pytest.raises(FieldError) as caught:
            ShapeSpec(picture=picture(), **wish)
        assert caught.value.field == field
    with pytest.raises(FieldError, match="Zero123 takes no LoRA"):
        ModelSpec(model="zero123", loras=shape_spec().guidance.loras)
    job = picture_spec()
    assert job.begins_without_mesh
    assert not job.imagines
    assert job.refs() == {"shape.picture.file": job.shape.picture.file}
    assert size_of(job).memory == 640 * 480 * BYTES_PER_PICTURE_PIXEL
    assert refusal(job, replace(DEFAULT_LIMITS, job_memory=1000)).field == "shape.picture"
    begun = picture_spec(meshes=(BARE,), shape=ShapeSpec(picture=picture(), subdivide=1))
    assert not begun.begins_without_mesh


def parts_of(data):
    return lambda start, end: data[start:end]


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGBA", {}),
        ("PNG", "I;16", {}),
        ("PNG", "P", {}),
        ("JPEG", "RGB", {"exif": b"Exif\0\0" + bytes(3000)}),
        ("JPEG", "CMYK", {"progressive": True}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGBA", {"exif": b"II*\0" + bytes(8)}),
    ],
)
def test_the_size_of_a_picture_is_in_its_first_bytes(kind, mode, options):
    file = io.BytesIO()
    Image.new(mode, (37, 21)).save(file, kind, **options)
    data = file.getvalue()
    assert picture_header(parts_of(data)) == PictureHeader(kind.lower(), 37, 21)
    # What is cut off, or damaged, is told as such.
    for length in (0, 3, 12, 20):
        assert picture_header(parts_of(data[:length])) is None


def test_what_is_no_picture_that_travels_has_no_header():
    endless = b"\xff\xd8\xff" + b"\xff" * 9000
    for data in (b"GIF89a" + bytes(40), b"\x89PNG\r\n\x1a\n" + bytes(40), endless, b"\xff\xd8\xff\xe0" + bytes(40)):
        assert picture_header(parts_of(data)) is None


@pytest.mark.parametrize("marker", [0x01, 0xD0, 0xD7])
def test_a_jpeg_cannot_hide_its_size_behind_a_marker_without_a_length(marker):
    """Taken for a length, the next marker led past the size that decoders see, to one that was planted."""
    small = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 16, 16) + bytes(12)
    large = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 9000, 8000) + bytes(12)
    data = (b"\xff\xd8\xff" + bytes([marker]) + large).ljust(4 + 0xFFC0, b"\0") + small
    assert picture_header(parts_of(data)) == PictureHeader("jpeg", 8000, 9000)


@pytest.mark.parametrize("segment", [b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\x00"])
def test_a_jpeg_without_a_size_before_its_picture_has_no_header(segment):
    size = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 16, 16) + bytes(12)
    assert picture_header(parts_of(b"\xff\xd8" + segment + b"\x00\x02" + size + bytes(16))) is None


def test_an_older_session_is_told_of_no_model_that_sees_and_of_no_names():
    named = ModelInfo("normal:mine", "installed")
    models = (ModelInfo("pocket", "installed"), ModelInfo("zero123", "missing"), named)
    assert models_of_version(models, 2) == models
    assert models_of_version(models, 1) == models[:1]


TRIANGLE = ResultMesh(
    positions=np.eye(3, dtype=np.float32),
    faces=np.array([[0, 1, 2], [2, 1, 0]], np.int32),
    corner_uvs=np.random.default_rng(0).random((2, 3, 2)).astype(np.float32),
    corner_colors=np.full((2, 3, 3), 0.5, np.float32),
    material_index=np.array([0, 3], np.int32),
)


def files(given: ResultMesh = TRIANGLE, **changes: object) -> dict[MapFile, bytes]:
    """As a server puts them into a result."""
    found = {}
    for number, (name, array) in enumerate(given.arrays().items()):
        height, width, channels = array.shape
        dtype = DType.I32 if array.dtype == np.int32 else DType.F32
        told = MapFile(name, 1001, width, height, channels, dtype, "linear", "raw", f"{number:064x}", array.nbytes)
        found[replace(told, **changes) if name == "faces" else told] = array.tobytes()
    return found


def test_a_mesh_comes_out_of_a_result_as_it_went_in():
    read = read_result(files())
    for name, array in TRIANGLE.arrays().items():
        assert np.array_equal(read.arrays()[name], array), name
    bare = read_result(files(replace(TRIANGLE, corner_uvs=None, corner_colors=None, material_index=None)))
    assert (bare.corner_uvs, bare.corner_colors, bare.material_index) == (None, None, None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda: {}, "without a mesh"),
        (lambda: files(height=3), "of another form"),
        (lambda: files(dtype=DType.F32), "of another form"),
        (lambda: files(height=1 << 40), "a mesh of"),
        (lambda: files(replace(TRIANGLE, faces=TRIANGLE.faces + np.int32(1))), "does not have"),
        (lambda: files(replace(TRIANGLE, positions=TRIANGLE.positions * np.float32(np.inf))), "no numbers"),
        (lambda: files(replace(TRIANGLE, material_index=np.zeros(5, np.int32))), "do not fit"),
        (lambda: files(replace(TRIANGLE, faces=TRIANGLE.faces[:0], material_index=None)), "without triangles"),
    ],
)
def test_a_damaged_mesh_is_told_in_a_sentence(given, says):
    with np.errstate(invalid="ignore"), pytest.raises(ProtocolError, match=says) as caught:
        read_result(given())
    assert caught.value.error.code is ErrorCode.PROTO_BAD_FRAME


def test_previews_travel_as_bytes_of_their_size_and_no_others(monkeypatch):
    sent = PreviewMesh(positions=TRIANGLE.positions, faces=TRIANGLE.faces)
    read = preview_mesh(3, 2, sent.pack())
    assert np.array_equal(read.positions, sent.positions)
    assert np.array_equal(read.faces, sent.faces)
    for vertices, triangles, data in ((3, 1, sent.pack()), (2, 3, sent.pack()), (3, 0, sent.pack()[:36])):
        with pytest.raises(ProtocolError):
            preview_mesh(vertices, triangles, data)
    monkeypatch.setattr(meshes, "MOST_PREVIEW_BYTES", 50)
    with pytest.raises(ProtocolError, match="a preview of 60 bytes"):
        preview_mesh(3, 2, sent.pack())
