# SPDX-License-Identifier: Apache-2.0
"""The pure session with a clock of its own, and short ways to play the server's part by hand."""

import hashlib
import uuid
from typing import Any

from blender_addon.client.event_queue import EventQueue
from blender_addon.client.link import Close, Open, SessionConfig, StartServer
from blender_addon.client.requests import Channel, Send
from blender_addon.client.session import Session
from blender_addon.client.timing import Now
from blender_addon.protocol.arrays import DType
from blender_addon.protocol.codec import Envelope, request_id
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.messages import (
    Accepted,
    Attach,
    EventKind,
    Hello,
    JobEvent,
    JobInfo,
    JobResult,
    JobState,
    MapFile,
    Snapshot,
    Submit,
    Welcome,
)
from blender_addon.protocol.messages import Event as EventMessage
from blender_addon.protocol.specs.job import (
    CameraSamplerSpec,
    MeshSpec,
    ModelSpec,
    PromptSpec,
    SettingsSpec,
    TextureJobSpec,
)

EPOCH = "e" * 32
SESSION = "5" * 32
JOB = "a" * 32


class Rig:
    """Moves time, collects what the session wants done, and answers."""

    def __init__(self, config=None, *, may_start=False):
        self.mono = 100.0
        self.wall = 1_000_000.0
        self.epoch = EPOCH
        self.events = EventQueue()
        self.session = Session(config or SessionConfig(), self.events.put, lambda: 1.0, may_start=may_start)
        self.sent: list[Send] = []
        self.opens = self.closes = self.starts = 0
        self.tick()

    @property
    def now(self):
        return Now(self.mono, self.wall)

    def tick(self, seconds=0.0):
        self.mono += seconds
        self.wall += seconds
        self.session.tick(self.now)
        self.collect()

    def collect(self):
        while actions := self.session.take():
            for action in actions:
                match action:
                    case Open():
                        self.opens += 1
                    case Close():
                        self.closes += 1
                        self.sent.clear()
                    case StartServer():
                        self.starts += 1
                    case _:
                        self.sent.append(action)

    def taken(self, kind) -> Envelope:
        """The first envelope of a kind that was sent; it counts as handled."""
        for at, send in enumerate(self.sent):
            if isinstance(send.envelope.message, kind):
                return self.sent.pop(at).envelope
        names = [type(send.envelope.message).__name__ for send in self.sent]
        raise AssertionError(f"no {kind.__name__} was sent, only {names}")

    def all_of(self, kind) -> list[Envelope]:
        found = [send for send in self.sent if isinstance(send.envelope.message, kind)]
        self.sent = [send for send in self.sent if send not in found]
        return [send.envelope for send in found]

    def reply(self, request: Envelope, message: Any, buffers=(), *, channel=Channel.CTL, epoch=None):
        envelope = Envelope(
            message=message, id=request_id(), re=request.id, epoch=epoch or self.epoch, buffers=tuple(buffers)
        )
        self.session.received(channel, envelope, self.now)
        self.collect()

    def push(self, message: Any, buffers=(), *, channel=Channel.CTL, epoch=None):
        self._hand_over(message, buffers, channel, epoch)

    def _hand_over(self, message, buffers, channel, epoch, re=None):
        envelope = Envelope(message=message, id=request_id(), re=re, epoch=epoch or self.epoch, buffers=tuple(buffers))
        self.session.received(channel, envelope, self.now)
        self.collect()

    def connect(self, epoch=EPOCH, session=SESSION):
        self.epoch = epoch
        for channel in (Channel.CTL, Channel.BULK):
            self.reply(self.taken(Hello), welcome(session), channel=channel)

    def all_events(self):
        return self.events.drain()

    def events_of(self, kind):
        return [event for event in self.all_events() if isinstance(event, kind)]

    def accept(self, job=JOB, *, duplicate=False):
        submit = self.taken(Submit)
        self.reply(submit, Accepted(job, submit.message.key, JobState.QUEUED, 0, duplicate))
        return submit.message.key

    def snapshot(self, events=(), *, state=JobState.RUNNING, result=None, error=None, job=JOB, step=0):
        attach = self.taken(Attach)
        self.reply(attach, Snapshot(job_info(job, state, step=step, error=error), tuple(events), result))
        return attach.message

    def event(self, event):
        self.push(EventMessage(event=event))


def welcome(session=SESSION, **changes):
    fields = {
        "protocol": (1, 0),
        "server": "pgc-server/test",
        "session": session,
        "bulk_port": 1,
        "limits": DEFAULT_LIMITS,
        "models": (),
        "devices": ("cpu",),
        "jobs": (),
        "draining": False,
    }
    return Welcome(**{**fields, **changes})


def job_info(job=JOB, state=JobState.RUNNING, *, step=0, error=None):
    return JobInfo(
        job=job,
        key="f" * 32,
        state=state,
        position=0,
        step=step,
        steps=50,
        attempt=1,
        created=0.0,
        name="",
        error=error,
        paused=False,
    )


def state_event(seq, state, *, job=JOB, error=None, result=None):
    return JobEvent(
        job=job,
        seq=seq,
        kind=EventKind.STATE,
        state=state,
        step=0,
        steps=50,
        eta_s=None,
        text=None,
        error=error,
        result=result,
    )


def progress_event(seq, step, *, job=JOB):
    return JobEvent(
        job=job,
        seq=seq,
        kind=EventKind.PROGRESS,
        state=JobState.RUNNING,
        step=step,
        steps=50,
        eta_s=1.0,
        text=None,
        error=None,
        result=None,
    )


def sha(data):
    return hashlib.sha256(data).hexdigest()


def result_of(maps, config=b"{}"):
    """A result of files by name, and the files by hash."""
    files = tuple(
        MapFile(
            map=name,
            tile=1001,
            width=16,
            height=16,
            channels=3,
            dtype=DType.U8,
            color_space="srgb",
            codec="png",
            sha256=sha(data),
            bytes=len(data),
        )
        for name, data in maps.items()
    )
    store = {sha(data): data for data in [*maps.values(), config]}
    return JobResult(maps=files, config_json_sha256=sha(config), seconds=1.0, warnings=()), store


def new_key():
    return uuid.uuid4().hex


def small_spec(arrays=()):
    """A spec; the session never looks into it."""
    from blender_addon.protocol.arrays import ArrayRef

    positions = ArrayRef("0" * 64, DType.F32, (3, 3))
    faces = ArrayRef("1" * 64, DType.I32, (1, 3))
    return TextureJobSpec(
        meshes=(MeshSpec(name="m", positions=positions, faces=faces),),
        cameras=CameraSamplerSpec(),
        prompt=PromptSpec(text="red"),
        settings=SettingsSpec(),
        guidance=ModelSpec(),
    )
