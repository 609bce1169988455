# SPDX-License-Identifier: Apache-2.0
"""One message of every type, with fixed ids: what golden bytes, round trips and the fuzzers start from."""

from __future__ import annotations

from dataclasses import replace

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.codec import Envelope
from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import (
    Accepted,
    Attach,
    BlobNeed,
    BlobOk,
    BlobProgress,
    BlobPut,
    BlobQuery,
    Bye,
    Cancel,
    Chunk,
    Credit,
    Detach,
    Done,
    Drain,
    Error,
    Event,
    EventKind,
    FreeGpu,
    Get,
    Hello,
    JobEvent,
    JobInfo,
    JobResult,
    Jobs,
    JobState,
    ListJobs,
    MapFile,
    Message,
    Metrics,
    MetricsText,
    ModelInfo,
    Pause,
    Ping,
    Pong,
    Preview,
    PreviewCodec,
    Reject,
    Reorder,
    ResultAck,
    Resume,
    Snapshot,
    Status,
    StatusReport,
    Submit,
    Welcome,
)
from blender_addon.protocol.specs.job import (
    CameraRigSpec,
    CameraSpec,
    ConditionsSpec,
    ControlSpec,
    EmbeddingSpec,
    LightingSpec,
    LoraSpec,
    MeshSpec,
    ModelSpec,
    PictureSpec,
    PromptSpec,
    ReferenceSpec,
    RegulationSpec,
    SettingsSpec,
    ShapeSpec,
    TextureJobSpec,
    TileImage,
)

ID, RE, SESSION, EPOCH, JOB, KEY = (digit * 32 for digit in "123456")
SHA = "ab" * 32
IDENTITY = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def ref(dtype: DType, *shape: int, digit: str = "a") -> ArrayRef:
    """A reference to an array that is nowhere."""
    return ArrayRef(digit * 64, dtype, shape)


def mesh(**changes: object) -> MeshSpec:
    """A mesh with all arrays."""
    fields: dict[str, object] = {
        "name": "Suzanne",
        "positions": ref(DType.F32, 507, 3),
        "faces": ref(DType.I32, 968, 3, digit="b"),
        "corner_uvs": ref(DType.F32, 968, 3, 2, digit="c"),
        "corner_normals": ref(DType.F32, 968, 3, 3, digit="d"),
        "corner_tangents": ref(DType.F32, 968, 3, 4, digit="e"),
        "polygon_index": ref(DType.I32, 968, digit="f"),
        "material_index": ref(DType.I32, 968, digit="0"),
        "textured": ref(DType.U8, 968, digit="1"),
    }
    return MeshSpec(**{**fields, **changes})


def spec(**changes: object) -> TextureJobSpec:
    """A job with something in every place."""
    image = TileImage(tile=1001, array=ref(DType.U8, 64, 64, 3, digit="2"))
    fields: dict[str, object] = {
        "meshes": (mesh(), mesh(name="ears", corner_tangents=None, textured=None)),
        "prompt": PromptSpec(
            text="weathered oak, Eichenmöbel", negative="plastic", front_axis="x", per_view={"back": "moss"}
        ),
        "cameras": CameraRigSpec(cameras=(CameraSpec(world_to_camera=IDENTITY, projection=IDENTITY, aspect=1.5),)),
        "settings": SettingsSpec(
            preset="draft", seed=7, steps=50, views=4, resolution=128, texture_size=64, separate_slots=True
        ),
        "guidance": ModelSpec(model="oracle", guidance_scale=7.5, revision="main", oracle_texture=(image,)),
        "regulation": RegulationSpec(kind="pgc", threshold=0.1, norm="l2"),
        "conditions": ConditionsSpec(depth_scale=0.5),
        "lighting": LightingSpec(kind="environments", rotate=False, exposure=1.0, environments=("sky", "studio")),
        "maps": ("base_color", "roughness"),
        "lock_mask": (TileImage(tile=1001, array=ref(DType.U8, 64, 64, digit="3")),),
        "initial_texture": (image,),
        "priority": "batch",
        "name": "Suzanne",
    }
    return TextureJobSpec(**{**fields, **changes})


def unwrap_spec() -> TextureJobSpec:
    """A job for new UVs."""
    bare = mesh(corner_uvs=None, corner_normals=None, corner_tangents=None, material_index=None, textured=None)
    return TextureJobSpec(meshes=(bare,), prompt=PromptSpec(text="UVs"), maps=("corner_uvs",), name="Suzanne")


def named_spec() -> TextureJobSpec:
    """A job that chooses what a server's owner has named."""
    look = ReferenceSpec(image=ArrayRef("d" * 64, DType.U8, (64, 48, 3)), scale=0.6, adapter="plus")
    control = ControlSpec(kind="normal", scale=0.5, model="mine")
    return spec(
        guidance=ModelSpec(model="sdxl"),
        conditions=ConditionsSpec(controls=(control,), reference=look),
    )


MOSS = LoraSpec(file=ArrayRef("e" * 64, DType.U8, (999,)), scale=0.75, name="moss.safetensors")


def shape_spec(**changes: object) -> TextureJobSpec:
    """A job for a new shape."""
    bare = mesh(corner_normals=None, corner_tangents=None, polygon_index=None, textured=None)
    fields: dict[str, object] = {
        "meshes": (bare,),
        "prompt": PromptSpec(text="a stone lion", negative="plastic"),
        "settings": SettingsSpec(seed=7, steps=50, views=4, resolution=128),
        "guidance": ModelSpec(
            model="sd15",
            loras=(MOSS,),
            embeddings=(EmbeddingSpec(file=ArrayRef("f" * 64, DType.U8, (99,)), word="lion", name="lion.safetensors"),),
        ),
        "maps": ("shape",),
        "name": "Suzanne",
        "shape": ShapeSpec(loss="both", subdivide=2, hold=True, latents_until=0.25, learning_rate=0.02),
    }
    return TextureJobSpec(**{**fields, **changes})


def picture_spec(**changes: object) -> TextureJobSpec:
    """A job for a new shape from a picture alone."""
    picture = PictureSpec(
        file=ArrayRef("f" * 64, DType.U8, (4321,)), width=640, height=480, elevation=15.0, name="mug.png"
    )
    fields: dict[str, object] = {
        "meshes": (),
        "prompt": PromptSpec(text=""),
        "guidance": ModelSpec(model="zero123"),
        "name": "mug",
        "shape": ShapeSpec(geometry="dmtet", cubes=32, picture=picture),
    }
    return shape_spec(**{**fields, **changes})


ERROR = WireError(
    ErrorCode.INPUT_INVALID,
    Retry.CHANGED,
    "index 90412, but the mesh has 31049 vertices",
    field="meshes[0].faces[12]",
    hint="Repair the mesh.",
    err_id="0123456789ab",
)
MODEL = ModelInfo("pocket", "installed", "built in", ("oak", "moss"))
MAP = MapFile("base_color", 1001, 64, 64, 3, DType.U8, "srgb", "png", SHA, 4321)
RESULT = JobResult((MAP,), "cd" * 32, 12.5, ("2 % of the texels are seen by no view.",))
INFO = JobInfo(JOB, KEY, JobState.QUEUED, 2, 10, 50, 1, 1.7e9, "Suzanne", ERROR, True)
EVENT = JobEvent(JOB, 3, EventKind.STATE, JobState.SUCCEEDED, 50, 50, None, "Done.", None, RESULT)
PROGRESS = JobEvent(JOB, 2, EventKind.PROGRESS, JobState.RUNNING, 10, 50, 8.25)

MESSAGES: tuple[tuple[Message, tuple[bytes, ...]], ...] = (
    (Hello(((1, 0),), "blender 4.5 pgc_texture 0.3", SESSION), ()),
    (
        Welcome(
            (1, 0), "pgc-server", SESSION, 40001, models=(MODEL,), devices=("cpu",), jobs=(INFO,), maps=("normal",)
        ),
        (),
    ),
    (Reject(WireError(ErrorCode.PROTO_VERSION, Retry.CHANGED, "The client speaks 2, this server 1.0.")), ()),
    (Ping(1), ()),
    (Pong(1), ()),
    (Bye(), ()),
    (Submit(KEY, spec()), ()),
    (Accepted(JOB, KEY, JobState.QUEUED, 2, True), ()),
    (Attach(JOB, 2), ()),
    (Snapshot(INFO, (EVENT,), RESULT), ()),
    (Detach(JOB), ()),
    (Event(PROGRESS), ()),
    (Credit(4 << 20), ()),
    (Preview(JOB, 5, 10, "base_color", 1001, 2, 1, 3, PreviewCodec.RAW_U8), (b"abc", b"def")),
    (BlobQuery((SHA, "cd" * 32)), ()),
    (BlobNeed((BlobProgress(SHA, 524288),)), ()),
    (BlobPut(SHA, 1048580, 1048576), (b"\x00\x01\x02\x03",)),
    (BlobOk(SHA, 1048580, True, 4 << 20), ()),
    (Get(SHA, 0, 786432), ()),
    (Chunk(SHA, 0, 5), (b"hello",)),
    (ResultAck(JOB), ()),
    (Cancel(JOB), ()),
    (Pause(JOB), ()),
    (Resume(JOB), ()),
    (Reorder(JOB, "7" * 32), ()),
    (Done(), ()),
    (ListJobs(), ()),
    (Jobs((INFO,)), ()),
    (Status(), ()),
    (StatusReport("pgc-server", "ready", 3.5, 1, 1, 2, 1, ("cpu",), (MODEL,), 1 << 28, 1 << 40, {"step_s": 0.25}), ()),
    (Metrics(), ()),
    (MetricsText("pgc_jobs_accepted_total 1\n# EOF\n"), ()),
    (FreeGpu(), ()),
    (Drain(), ()),
    (Error(ERROR), ()),
)


def envelope(message: Message, buffers: tuple[bytes, ...] = ()) -> Envelope:
    """The message on its way, with fixed ids."""
    return Envelope(message, ID, RE, SESSION, EPOCH, buffers)


ENVELOPES = {message.TYPE: envelope(message, buffers) for message, buffers in MESSAGES}
LATER: dict[str, dict[str, Envelope]] = {
    "1.1": {
        message.TYPE: envelope(message)
        for message in (
            ListJobs(all_users=True),
            Jobs((replace(INFO, owner="laptop"),)),
            Submit(KEY, unwrap_spec()),
        )
    },
    "1.2": {
        name or message.TYPE: envelope(message, buffers)
        for name, message, buffers in (
            ("", Submit(KEY, shape_spec()), ()),
            ("SUBMIT_PICTURE", Submit(KEY, picture_spec()), ()),
            ("SUBMIT_NAMED", Submit(KEY, named_spec()), ()),
            ("", Preview(JOB, 5, 10, "shape", 1001, 1, 1, 3, PreviewCodec.MESH), (bytes(24),)),
        )
    },
}
"""Of later minor versions: messages with what these brought."""
