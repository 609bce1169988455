# SPDX-License-Identifier: Apache-2.0
"""Messages of gate and workers, handed to those whom they concern."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from blender_addon.protocol.messages import PreviewCodec
from server.broker.ports import Buffer
from server.broker.scheduling.lifecycle import Lifecycle
from server.broker.scheduling.runner import ActiveRun, Runner
from server.broker.state import BrokerState
from server.broker.supervision.supervisor import Child, Supervisor
from server.broker.supervision.validation import Validation
from server.children.messages import (
    ROLE_GATE,
    ROLE_WORKER,
    Beat,
    GateVerdict,
    InternalMessage,
    Ready,
    WorkerCancelled,
    WorkerCheckpoint,
    WorkerDone,
    WorkerFailed,
    WorkerKeeping,
    WorkerNotice,
    WorkerPreview,
    WorkerProgress,
    WorkerYielded,
    unpack,
)
from server.errors import InternalMessageError

_LOG = logging.getLogger(__name__)
_CODECS = frozenset(codec.value for codec in PreviewCodec)


class Children:
    """A message of a child that counts no more, or about a job that it does not run, is passed over."""

    def __init__(
        self,
        state: BrokerState,
        supervisor: Supervisor,
        runner: Runner,
        validation: Validation,
        lifecycle: Lifecycle,
    ) -> None:
        self._state = state
        self._supervisor = supervisor
        self._runner = runner
        self._validation = validation
        self._lifecycle = lifecycle

    def received(self, key: str, rid: bytes, frames: Sequence[Buffer]) -> None:
        """Handles the frames of the child with this public key."""
        child = self._supervisor.by_key(key)
        if child is None or not frames:
            return
        self._supervisor.heard(child, rid)
        try:
            message = unpack(bytes(frames[0]))
        except InternalMessageError as error:
            _LOG.error("%s %d: %s", child.role, child.index, error)
            return
        if isinstance(message, Beat):
            self._runner.beat(child, message.step_counter)
        elif isinstance(message, Ready):
            self._ready(child, message)
        elif child.role == ROLE_GATE and isinstance(message, GateVerdict):
            self._validation.decided(child, message)
        elif child.role == ROLE_WORKER:
            self._of_worker(child, message, frames[1:])

    def _ready(self, child: Child, message: Ready) -> None:
        if child.role == ROLE_WORKER:
            self._state.devices_of_workers[child.index] = message.devices
            self._state.models = message.models
        self._supervisor.ready(child, message)

    def _of_worker(self, child: Child, message: InternalMessage, payload: Sequence[Buffer]) -> None:
        run = self._runner.run_of(child, getattr(message, "job", ""))
        if run is None or getattr(message, "attempt", run.attempt) != run.attempt:
            return
        match message:
            case WorkerProgress():
                self._runner.progress(run, message)
            case WorkerPreview():
                self._preview(run, message, payload)
            case WorkerNotice():
                self._lifecycle.notice(run.job, message.text)
            case WorkerCheckpoint():
                self._runner.checkpointed(run, message.step)
            case _:
                self._of_end(run, message)

    def _of_end(self, run: ActiveRun, message: InternalMessage) -> None:
        match message:
            case WorkerDone():
                self._runner.done(run, message)
            case WorkerFailed():
                self._runner.failed(run, message)
            case WorkerKeeping():
                self._runner.keeping(run)
            case WorkerCancelled():
                self._runner.cancelled(run, message)
            case WorkerYielded():
                self._runner.yielded(run, message)
            case _:
                _LOG.error("worker %d sent %s, which is none of its messages", run.child.index, message.TYPE)

    def _preview(self, run: ActiveRun, message: WorkerPreview, payload: Sequence[Buffer]) -> None:
        if len(payload) == 1 and message.codec in _CODECS:
            self._lifecycle.feeds.show(run.job, message, payload[0])
        else:
            _LOG.error("worker %d sent a preview of %d frames in %s", run.child.index, len(payload), message.codec)
