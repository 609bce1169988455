# SPDX-License-Identifier: Apache-2.0
"""Every wish in a job is understood or refused by its path; everything else may have unknown fields."""

import math
from dataclasses import replace

import pytest

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.codec import decode
from blender_addon.protocol.errors import ErrorCode, FieldError, ProtocolError, Retry
from blender_addon.protocol.messages import BlobPut, Chunk, Get, Welcome
from blender_addon.protocol.specs.job import PromptSpec, SettingsSpec, TextureJobSpec
from blender_addon.protocol.structure import from_wire, to_wire
from tests.blender_addon.protocol import samples
from tests.blender_addon.protocol.frames import frames_of, header, refusal, refused, submit

INVALID = ErrorCode.INPUT_INVALID


@pytest.mark.parametrize("name", samples.ENVELOPES)
def test_unknown_fields_outside_of_jobs_are_ignored(name):
    sample = samples.ENVELOPES[name]
    body = {**to_wire(sample.message), "later": {"a": [1]}}
    head = header(name, body, re=sample.re, sid=sample.session, ep=sample.epoch, bufs=[*map(len, sample.buffers)])
    assert decode(frames_of({**head, "job": "x", "seq": -1}, *sample.buffers)) == sample


def test_unknown_fields_in_records_are_ignored():
    plain = to_wire(samples.EVENT)
    plain["result"]["maps"][0]["later"] = plain["later"] = 1
    assert from_wire(type(samples.EVENT), plain) == samples.EVENT


@pytest.mark.parametrize(
    "path",
    [
        (),
        ("meshes", 1),
        ("meshes", 0, "positions"),
        ("cameras",),
        ("cameras", "cameras", 0),
        ("prompt",),
        ("settings",),
        ("guidance",),
        ("guidance", "oracle_texture", 0, "array"),
        ("distillation",),
        ("regulation",),
        ("conditions",),
        ("lighting",),
        ("memory_plan",),
        ("preview",),
        ("lock_mask", 0),
    ],
)
def test_unknown_fields_in_jobs_are_refused(path):
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    error = refusal(submit(("spec", *path, "colour"), "red"))
    assert error.code is ErrorCode.INPUT_UNKNOWN_FIELD
    assert error.field == (f"{where}.colour" if where else "colour")
    assert error.retry is Retry.CHANGED
    assert "it knows: " in error.text


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"maps": ("corner_uvs", "base_color")}, "maps", "a job of their own"),
        ({"maps": ("roughness", "corner_uvs")}, "maps", "a job of their own"),
        ({"meshes": samples.unwrap_spec().meshes * 2}, "meshes", "Got 2 meshes"),
        ({"meshes": (samples.mesh(textured=None),)}, "meshes[0].corner_uvs", "without UVs"),
        ({"meshes": (samples.mesh(corner_uvs=None),)}, "meshes[0].textured", "All faces"),
        ({"initial_texture": samples.spec().initial_texture}, "initial_texture", "need no image"),
        ({"lock_mask": samples.spec().lock_mask}, "lock_mask", "need no image"),
    ],
)
def test_a_job_for_new_uvs_asks_for_nothing_else(changes, field, text):
    assert samples.unwrap_spec().unwraps
    assert not samples.spec().unwraps
    with pytest.raises(FieldError, match=text) as caught:
        replace(samples.unwrap_spec(), **changes)
    assert caught.value.field == field


GRAY, COLOR = samples.spec().lock_mask, samples.spec().initial_texture


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"initial_maps": {"gloss": GRAY}}, "initial_maps.gloss", "no such map"),
        ({"initial_maps": {"metallic": GRAY}}, "initial_maps.metallic", "a job that makes this map"),
        ({"initial_maps": {"roughness": GRAY}, "initial_texture": ()}, "initial_maps.roughness", "an initial texture"),
        ({"initial_maps": {"roughness": GRAY * 2}}, "initial_maps.roughness", "each tile once"),
        ({"initial_maps": {"roughness": COLOR}}, "initial_maps.roughness[0].array", "expected [H, W]"),
        (
            {"initial_maps": {"normal": GRAY}, "maps": ("normal",)},
            "initial_maps.normal[0].array",
            "expected [H, W, 3]",
        ),
        ({"settings": SettingsSpec(mask_start="anew"), "lock_mask": ()}, "settings.mask_start", "leaves free"),
        ({"settings": SettingsSpec(soft_edge=8), "lock_mask": ()}, "settings.soft_edge", "border of a lock mask"),
        ({"settings": SettingsSpec(mask_start="anew", strength=0.5)}, "settings.mask_start", "no strength"),
    ],
)
def test_maps_to_start_from_fit_the_job(changes, field, text):
    assert replace(samples.spec(), initial_maps={"roughness": GRAY}).refs()["initial_maps.roughness[0].array"]
    with pytest.raises(FieldError) as caught:
        replace(samples.spec(), **changes)
    assert caught.value.field == field
    assert text in str(caught.value)


def test_a_job_without_later_fields_says_nothing_of_them():
    plain = to_wire(samples.spec())
    assert "initial_maps" not in plain
    assert "mask_start" not in plain["settings"]
    started = to_wire(replace(samples.spec(), initial_maps={"roughness": GRAY}))
    assert from_wire(TextureJobSpec, started).initial_maps == {"roughness": GRAY}


@pytest.mark.parametrize(
    ("path", "value", "field", "text"),
    [
        (("key",), "x", "key", "32 lower-case"),
        (("spec",), None, None, "expected a map"),
        (("spec", "meshes"), [], "meshes", "0 meshes"),
        (("spec", "meshes"), {}, "meshes", "expected a list"),
        (("spec", "meshes", 1), None, "meshes[1]", "expected a map"),
        (("spec", "meshes", 1, "faces", "dtype"), 5, "meshes[1].faces", "F32; expected I32"),
        (("spec", "meshes", 1, "faces", "dtype"), 9, "meshes[1].faces.dtype", "expected one of 1, 2"),
        (("spec", "meshes", 1, "faces", "dtype"), True, "meshes[1].faces.dtype", "Got True"),
        (("spec", "meshes", 1, "faces", "dtype"), "<i4", "meshes[1].faces.dtype", "'<i4'"),
        (("spec", "meshes", 1, "faces", "shape"), [968, 4], "meshes[1].faces", "[any, 3]"),
        (("spec", "meshes", 1, "faces", "shape"), [0, 3], "meshes[1].faces", "0 triangles"),
        (("spec", "meshes", 1, "faces", "shape"), [1 << 62, 3], "meshes[1].faces.shape", "at most"),
        (("spec", "meshes", 1, "faces", "shape"), [-1, 3], "meshes[1].faces.shape", "0 or more"),
        (("spec", "meshes", 1, "faces", "shape"), [1] * 5, "meshes[1].faces.shape", "expected 1 to 4"),
        (("spec", "meshes", 1, "faces", "shape"), [], "meshes[1].faces.shape", "expected 1 to 4"),
        (("spec", "meshes", 1, "faces", "shape"), [1.0, 3], "meshes[1].faces.shape[0]", "whole number"),
        (("spec", "meshes", 1, "faces", "shape"), [(1 << 64) - 1, 3], "meshes[1].faces.shape[0]", "64 bits"),
        (("spec", "meshes", 1, "faces", "sha256"), "../../etc/passwd", "meshes[1].faces.sha256", "SHA-256"),
        (("spec", "meshes", 1, "faces", "sha256"), "A" * 64, "meshes[1].faces.sha256", "lower-case"),
        (("spec", "meshes", 0, "corner_uvs", "shape"), [967, 3, 2], "meshes[0].corner_uvs", "[968, 3, 2]"),
        (("spec", "meshes", 0, "positions", "shape"), [20_000_001, 3], "meshes[0].positions", "20000000"),
        (("spec", "cameras", "kind"), "fisheye", "cameras.kind", "'sampler', 'rig'"),
        (("spec", "cameras"), 5, "cameras.kind", "expected one of"),
        (("spec", "cameras", "cameras"), [], "cameras.cameras", "1 to 256"),
        (("spec", "cameras", "cameras", 0, "projection"), [1.0], "cameras.cameras[0].projection", "16"),
        (("spec", "cameras", "cameras", 0, "projection", 3), math.nan, "cameras.cameras[0].projection[3]", "finite"),
        (("spec", "cameras", "cameras", 0, "projection", 3), -math.inf, "cameras.cameras[0].projection[3]", "finite"),
        (("spec", "cameras", "cameras", 0, "projection", 3), 1e13, "cameras.cameras[0].projection[3]", "1e+12"),
        (("spec", "cameras", "cameras", 0, "projection", 3), "1", "cameras.cameras[0].projection[3]", "a number"),
        (("spec", "cameras", "cameras", 0, "aspect"), 0, "cameras.cameras[0].aspect", "0.001"),
        (("spec", "prompt", "text"), " \n", "prompt.text", "empty"),
        (("spec", "prompt", "text"), "ä" * 2049, "prompt.text", "4098 bytes"),
        (("spec", "prompt", "text"), b"moss", "prompt.text", "expected a text"),
        (("spec", "prompt", "view_dependent"), 1, "prompt.view_dependent", "true or false"),
        (("spec", "prompt", "front_axis"), "z", "prompt.front_axis", "'-x'"),
        (("spec", "prompt", "per_view"), {"top": "moss"}, "prompt.per_view", "'top'"),
        (("spec", "prompt", "per_view"), {"back": "x" * 4097}, "prompt.per_view.back", "4097"),
        (("spec", "prompt", "per_view"), [], "prompt.per_view", "expected a map"),
        (("spec", "settings", "seed"), -1, "settings.seed", "expected 0 to 9223372036854775807"),
        (("spec", "settings", "seed"), 7.0, "settings.seed", "whole number"),
        (("spec", "settings", "steps"), 0, "settings.steps", "1 to 1000000"),
        (("spec", "settings", "texture_size"), 1000, "settings.texture_size", "power of two"),
        (("spec", "settings", "texture_size"), 16384, "settings.texture_size", "8192"),
        (("spec", "settings", "preset"), "best", "settings.preset", "'draft'"),
        (("spec", "guidance", "model"), "../models/x", "guidance.model", "key"),
        (("spec", "guidance", "model"), "x" * 65, "guidance.model", "64"),
        (("spec", "guidance", "guidance_scale"), 1e9, "guidance.guidance_scale", "1000"),
        (("spec", "distillation", "kind"), "xsd", "distillation.kind", "'sds'"),
        (("spec", "regulation", "threshold"), 0.0, "regulation.threshold", "1e-09"),
        (("spec", "lighting", "kind"), "pbr", "lighting.kind", "'unlit'"),
        (("spec", "lighting", "kind"), "unlit", "lighting.rotate", "goes with 'environments'"),
        (("spec", "lighting", "exposure"), 4.5, "lighting.exposure", "expected 0 to 4"),
        (("spec", "lighting", "environments"), ["sky", "moon"], "lighting.environments[1]", "'overcast'"),
        (("spec", "lighting", "environments"), ["sky", "sky"], "lighting.environments", "each environment once"),
        (("spec", "preview", "every_s"), 0.0, "preview.every_s", "0.05"),
        (("spec", "maps"), [], "maps", "one map"),
        (("spec", "maps"), ["base_color", "base_color"], "maps", "each once"),
        (("spec", "maps"), ["height"], "maps[0]", "'height'"),
        (("spec", "lock_mask", 0, "tile"), 1000, "lock_mask[0].tile", "1001 to 1999"),
        (("spec", "lock_mask", 0, "array", "shape"), [64, 64, 4], "lock_mask[0].array", "[H, W, 3]"),
        (("spec", "lock_mask", 0, "array", "shape"), [1, 1], "lock_mask[0].array", "1 x 1 pixels"),
        (("spec", "lock_mask", 0, "array", "shape"), [8193, 64], "lock_mask[0].array", "64 x 8193"),
        (("spec", "lock_mask", 0, "array", "dtype"), 5, "lock_mask[0].array", "F32"),
        (("spec", "priority"), "urgent", "priority", "'batch'"),
        (("spec", "name"), "x" * 5000, "name", "5000 bytes"),
    ],
)
def test_every_refusal_names_its_field(path, value, field, text):
    refused(submit(path, value), INVALID, field, text)


def test_tiles_come_once():
    tile = to_wire(samples.spec())["lock_mask"][0]
    refused(submit(("spec", "lock_mask"), [tile, tile]), INVALID, "lock_mask", "each tile once")


def test_missing_fields():
    refused(frames_of(header("SUBMIT", {"key": samples.KEY})), INVALID, None, "missing")
    body = {"key": samples.KEY, "spec": to_wire(samples.spec())}
    del body["spec"]["meshes"][1]["faces"]
    refused(frames_of(header("SUBMIT", body)), INVALID, "meshes[1].faces", "missing")


def test_paths_are_the_same_in_the_journal():
    plain = to_wire(samples.spec()) | {"priority": "urgent"}
    with pytest.raises(ProtocolError) as caught:
        from_wire(TextureJobSpec, plain)
    assert caught.value.error.field == "priority"


@pytest.mark.parametrize(
    ("name", "change", "field"),
    [
        ("HELLO", {"session": "x"}, "session"),
        ("HELLO", {"protocols": [[1]]}, "protocols[0]"),
        ("HELLO", {"protocols": [[1, "0"]]}, "protocols[0][1]"),
        ("WELCOME", {"bulk_port": 0}, "bulk_port"),
        ("WELCOME", {"bulk_port": 65536}, "bulk_port"),
        ("WELCOME", {"session": "x"}, "session"),
        ("ATTACH", {"after_seq": -1}, "after_seq"),
        ("CREDIT", {"bytes": -1}, "bytes"),
        ("PREVIEW", {"width": -1}, "width"),
        ("PREVIEW", {"codec": "jpeg"}, "codec"),
        ("BLOB_QUERY", {"hashes": ["a" * 63]}, "hashes[0]"),
        ("BLOB_NEED", {"missing": [{"sha256": "", "received": 0}]}, "missing[0].sha256"),
        ("BLOB_NEED", {"missing": [{"sha256": "a" * 64, "received": -1}]}, "missing[0].received"),
        ("BLOB_PUT", {"offset": -1}, "offset"),
        ("BLOB_PUT", {"offset": 1 << 40}, "offset"),
        ("BLOB_PUT", {"size": (4 << 30) + 1}, "size"),
        ("BLOB_PUT", {"sha256": "a/../b"}, "sha256"),
        ("BLOB_OK", {"window": -1}, "window"),
        ("BLOB_OK", {"received": -1}, "received"),
        ("GET", {"length": 0}, "length"),
        ("GET", {"length": (768 << 10) + 1}, "length"),
        ("GET", {"offset": -1}, "offset"),
        ("GET", {"sha256": "x"}, "sha256"),
        ("CHUNK", {"total": -1}, "total"),
        ("CHUNK", {"offset": -1}, "offset"),
        ("EVENT", {"event": {**to_wire(samples.EVENT), "seq": -1}}, "event.seq"),
        ("EVENT", {"event": {**to_wire(samples.EVENT), "eta_s": math.nan}}, "event.eta_s"),
        ("JOBS", {"jobs": [{**to_wire(samples.INFO), "position": -1}]}, "jobs[0].position"),
        ("STATUS_REPORT", {"facts": {"a": "x"}}, "facts.a"),
        ("STATUS_REPORT", {"state": "fine"}, "state"),
        ("ERROR", {"error": {**to_wire(samples.ERROR), "code": "NOPE"}}, "error.code"),
        ("PING", {"n": None}, "n"),
    ],
)
def test_ranges_of_other_messages(name, change, field):
    sample = samples.ENVELOPES[name]
    head = header(name, {**to_wire(sample.message), **change}, bufs=[*map(len, sample.buffers)])
    refused(frames_of(head, *sample.buffers), INVALID, field)


def test_results_name_blobs_by_their_hash():
    for change in ({"config_json_sha256": "/etc"}, {"maps": [{**to_wire(samples.MAP), "sha256": "/etc"}]}):
        with pytest.raises(ProtocolError, match="SHA-256"):
            from_wire(type(samples.RESULT), {**to_wire(samples.RESULT), **change})
    with pytest.raises(FieldError, match="width"):
        replace(samples.MAP, width=-1)


def test_bodies_that_are_no_map():
    for body in ([], 1, "x"):
        refused(frames_of(header("PING", body)), INVALID, None, "expected a map")


def test_guards_fire_where_messages_are_made():
    with pytest.raises(FieldError, match="valid Unicode"):
        PromptSpec(text="moss \udcff")
    with pytest.raises(FieldError, match="seed"):
        SettingsSpec(seed=10**400)
    with pytest.raises(FieldError, match="at most the size"):
        BlobPut("a" * 64, 5, 6)
    with pytest.raises(FieldError, match="786432"):
        Get("a" * 64, 0, 1 << 20)
    with pytest.raises(FieldError, match="SHA-256"):
        Chunk("a", 0, 0)
    with pytest.raises(FieldError, match="SHA-256"):
        ArrayRef("a", DType.U8, (1,))
    with pytest.raises(FieldError, match="bulk_port"):
        Welcome((1, 0), "", samples.SESSION, 0)


def test_numbers_from_elsewhere_than_msgpack():
    plain = to_wire(samples.EVENT)
    for name, value in (("eta_s", 10**400), ("seq", 10**400), ("eta_s", -(10**400))):
        with pytest.raises(ProtocolError):
            from_wire(type(samples.EVENT), {**plain, name: value})
