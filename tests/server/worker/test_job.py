# SPDX-License-Identifier: Apache-2.0
"""A job in a worker: what it sends, how it ends, and what it leaves behind."""

from __future__ import annotations

import errno
import hashlib
import json
from dataclasses import dataclass, field, replace

import pytest
import torch

import server.worker.job as job_module
from blender_addon.protocol.errors import ErrorCode, Retry
from blender_addon.protocol.specs.job import LightingSpec, ModelSpec, PreviewSpec
from pgc.errors import CheckpointError, GuidanceError
from pgc.guidance.base import Guidance
from pgc.guidance.specs import load_guidance
from pgc.images.maps import encode_maps
from pgc.optimization.loop import Optimization
from server.children.messages import (
    WorkerCheckpoint,
    WorkerKeeping,
    WorkerNotice,
    WorkerPreview,
    WorkerProgress,
    pack,
    unpack,
)
from server.recipes import prepare
from server.worker.checkpoints import load_newest, save
from server.worker.job import keep_job, run_job
from server.worker.keeping import AbsentPrior
from server.worker.tools import Ending, JobTools
from tests.server.jobs import with_settings


@dataclass
class Broker:
    """Takes what a worker sends."""

    messages: list = field(default_factory=list)
    payloads: list = field(default_factory=list)
    on_message: object = None

    def send(self, message, payload, may_be_lost):
        assert unpack(pack(message)) == message
        self.messages.append(message)
        if payload is not None:
            self.payloads.append((message, payload))
        if self.on_message is not None:
            self.on_message(message)

    def of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def tools(stored_job, cpu, broker):
    return JobTools(
        paths=stored_job.paths,
        store=stored_job.store,
        device=cpu,
        guidance_for=load_guidance,
        send=broker.send,
        checkpoint_seconds=3600.0,
    )


def run(tools, stored_job, attempt=1, resume=False):
    return run_job(tools, stored_job.name, attempt, resume)


def expected_maps(spec, arrays, cpu):
    whole = prepare(spec, arrays.read, cpu, load_guidance)
    for _ in whole.optimization.steps():
        pass
    return encode_maps(whole.bake())["base_color"]


@pytest.mark.slow
def test_the_result_is_the_maps_and_the_configuration(tools, stored_job, broker, arrays, cpu):
    outcome = run(tools, stored_job)
    assert outcome.ending is Ending.DONE, outcome
    (file,) = outcome.result.maps
    data = tools.store.read(file.sha256)
    assert data == expected_maps(stored_job.spec, arrays, cpu)[1001]
    assert (file.map, file.tile, file.width, file.height, file.channels) == ("base_color", 1001, 32, 32, 3)
    assert (file.color_space, file.codec, file.bytes) == ("srgb", "png", len(data))
    config = json.loads(tools.store.read(outcome.result.config_json_sha256))
    assert config["seed"] == 0
    assert config["steps_done"] == 3
    assert config["device"] == "cpu"
    assert config["resolved"]["settings"]["optimize"]["views"] == 2
    assert {"versions", "seconds", "warnings", "unknown_words", "uncovered_fraction"} <= config.keys()
    assert broker.of(WorkerProgress)[-1].step == 3


@pytest.mark.slow
def test_previews_are_the_texture_downscaled(tools, stored_job, broker):
    stored_job.write(replace(with_settings(stored_job.spec, steps=6), preview=PreviewSpec(every_s=0.05, size=16)))
    run(tools, stored_job)
    assert broker.payloads
    message, pixels = broker.payloads[0]
    assert isinstance(message, WorkerPreview)
    assert (message.width, message.height, message.channels, message.codec) == (16, 16, 3, "raw_u8")
    assert len(pixels) == 16 * 16 * 3
    assert message.step == 1


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 5, 6])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tools, stored_job, arrays, cpu, broker, stop_after):
    stored_job.write(with_settings(stored_job.spec, steps=5))
    before = len(["mesh", "prior", "texture"])
    ticks = []
    stopping = replace(tools, tick=lambda: ticks.append(1), is_stopping=lambda: len(ticks) >= before + stop_after)
    assert run(stopping, stored_job).ending is Ending.STOPPED
    # The last looks are before and after the texture is made from the last step's parameters.
    reached = min(stop_after, 5)
    assert broker.of(WorkerCheckpoint)[-1].step == reached
    broker.messages.clear()
    resumed = run(tools, stored_job, attempt=2, resume=True)
    assert broker.of(WorkerProgress)[0].step == reached
    expected = expected_maps(stored_job.spec, arrays, cpu)[1001]
    assert tools.store.read(resumed.result.maps[0].sha256) == expected


@pytest.mark.slow
def test_a_lit_job_gives_all_maps_shows_them_and_goes_on_to_the_same_bytes(tools, stored_job, arrays, cpu, broker):
    maps = ("base_color", "roughness", "metallic", "normal", "occlusion")
    preview = PreviewSpec(every_s=0.05, size=16)
    stored_job.write(replace(stored_job.spec, maps=maps, preview=preview))
    ticks = []
    stopping = replace(tools, tick=lambda: ticks.append(1), is_stopping=lambda: len(ticks) >= 4)
    assert run(stopping, stored_job).ending is Ending.STOPPED
    resumed = run(tools, stored_job, attempt=2, resume=True)
    shown = {message.map: message.channels for message, _ in broker.payloads}
    assert shown == {"base_color": 3, "roughness": 1, "metallic": 1, "normal": 3}
    whole = prepare(stored_job.spec, arrays.read, cpu, load_guidance)
    for _ in whole.optimization.steps():
        pass
    expected = encode_maps(whole.bake())
    assert [file.map for file in resumed.result.maps] == list(maps)
    for file in resumed.result.maps:
        assert tools.store.read(file.sha256) == expected[file.map][1001]
        assert file.channels == (3 if file.map in ("base_color", "normal") else 1)
        assert file.color_space == ("srgb" if file.map == "base_color" else "linear")
    config = json.loads(tools.store.read(resumed.result.config_json_sha256))
    assert config["resolved"]["settings"]["maps"] == list(maps)


@pytest.mark.slow
def test_two_checkpoints_are_kept_and_a_damaged_one_is_passed_over(tools, stored_job, arrays, cpu, broker):
    stored_job.write(with_settings(stored_job.spec, steps=6))

    def die(message):
        if isinstance(message, WorkerCheckpoint) and message.step == 4:
            raise KeyboardInterrupt

    broker.on_message = die
    with pytest.raises(KeyboardInterrupt):
        run(replace(tools, checkpoint_steps=2), stored_job)
    broker.on_message = None
    names = sorted(path.name for path in stored_job.paths.job(stored_job.name).glob("*.safetensors"))
    assert names == ["checkpoint.previous.safetensors", "checkpoint.safetensors"]
    stored_job.paths.checkpoint(stored_job.name).write_bytes(b"half a file")
    broker.messages.clear()
    outcome = run(tools, stored_job, attempt=2, resume=True)
    assert broker.of(WorkerProgress)[0].step == 2
    assert tools.store.read(outcome.result.maps[0].sha256) == expected_maps(stored_job.spec, arrays, cpu)[1001]


@pytest.mark.slow
def test_a_checkpoint_of_another_specification_is_left_alone(tools, stored_job, broker):
    run(replace(tools, checkpoint_steps=1), stored_job)
    stored_job.write(with_settings(stored_job.spec, seed=9))
    broker.messages.clear()
    assert run(tools, stored_job, resume=True).ending is Ending.DONE
    assert broker.of(WorkerProgress)[0].step == 0


def steps_of(tools, result):
    return json.loads(tools.store.read(result.config_json_sha256))["steps_done"]


def cancelling(tools, looks):
    """Cancelled at the look after so many; the mesh, the prior and the texture are one each, then each step."""
    seen = []
    return replace(tools, tick=lambda: seen.append(1), is_cancelled=lambda job: len(seen) > looks)


@pytest.mark.slow
def test_cancel_ends_the_run_at_the_next_step_with_what_there_is(tools, stored_job, broker, arrays, cpu):
    stored_job.write(with_settings(stored_job.spec, steps=1000))
    outcome = run(cancelling(tools, 6), stored_job)
    assert outcome.ending is Ending.CANCELLED
    assert broker.of(WorkerKeeping) == [WorkerKeeping(stored_job.name, 1)]
    assert steps_of(tools, outcome.result) == 4
    whole = prepare(stored_job.spec, arrays.read, cpu, load_guidance)
    for _ in range(4):
        whole.optimization.advance()
    assert tools.store.read(outcome.result.maps[0].sha256) == encode_maps(whole.bake())["base_color"][1001]


@pytest.mark.slow
def test_cancel_before_the_first_step_keeps_nothing(tools, stored_job):
    outcome = run(cancelling(tools, 1), stored_job)
    assert (outcome.ending, outcome.result) == (Ending.CANCELLED, None)


@pytest.mark.slow
def test_a_cancel_while_the_result_is_made_costs_nothing(tools, stored_job):
    assert run(cancelling(tools, 6), stored_job).ending is Ending.DONE


@pytest.mark.slow
def test_a_result_that_cannot_be_written_leaves_the_cancel(tools, stored_job, monkeypatch):
    monkeypatch.setattr(tools.store, "put", lambda data: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
    outcome = run(cancelling(tools, 4), stored_job)
    assert (outcome.ending, outcome.result) == (Ending.CANCELLED, None)


@pytest.mark.slow
def test_a_checkpoint_is_kept_as_a_result_without_a_step_and_without_its_prior(tools, stored_job, broker, arrays, cpu):
    stored_job.write(with_settings(stored_job.spec, steps=6))
    stopped = replace(tools, is_stopping=lambda: bool(broker.of(WorkerCheckpoint)), checkpoint_steps=2)
    assert run(stopped, stored_job).ending is Ending.STOPPED
    reached = broker.of(WorkerCheckpoint)[-1].step

    def no_prior(spec, device):
        raise AssertionError("a prior was loaded")

    outcome = keep_job(replace(tools, guidance_for=no_prior, is_cancelled=lambda job: True), stored_job.name, 2)
    assert outcome.ending is Ending.CANCELLED
    assert steps_of(tools, outcome.result) == reached
    whole = prepare(stored_job.spec, arrays.read, cpu, load_guidance)
    for _ in range(reached):
        whole.optimization.advance()
    assert tools.store.read(outcome.result.maps[0].sha256) == encode_maps(whole.bake())["base_color"][1001]


def test_a_job_without_a_checkpoint_keeps_nothing(tools, stored_job):
    outcome = keep_job(tools, stored_job.name, 2)
    assert (outcome.ending, outcome.result) == (Ending.CANCELLED, None)


def test_the_absent_prior_takes_no_step(cpu):
    absent = AbsentPrior(cpu)
    assert isinstance(absent, Guidance)
    with pytest.raises(GuidanceError, match="takes no step"):
        absent.decode_latents(torch.zeros(1, 4, 8, 8))


@pytest.fixture
def failing_step(monkeypatch):
    """Makes a step of the loop raise; returns what sets it up: (error, first step that raises, how often)."""
    advance = Optimization.advance
    plan = {"error": None, "at": 0, "left": 0}

    def step(self):
        if plan["left"] and self.step >= plan["at"]:
            plan["left"] -= 1
            raise plan["error"]
        return advance(self)

    monkeypatch.setattr(Optimization, "advance", step)

    def set_up(error, at=0, times=10**6):
        plan.update(error=error, at=at, left=times)

    return set_up


@pytest.mark.slow
def test_out_of_memory_goes_on_with_a_smaller_plan_from_where_it_was(tools, stored_job, broker, failing_step):
    failing_step(torch.OutOfMemoryError("CUDA out of memory"), at=2, times=1)
    outcome = run(tools, stored_job)
    assert outcome.ending is Ending.DONE
    (notice,) = broker.of(WorkerNotice)
    assert "1 instead of 2 views" in notice.text
    assert notice.text in outcome.result.warnings
    steps = [message.step for message in broker.of(WorkerProgress)]
    assert steps.count(0) == 1, "it must not start over"
    config = json.loads(tools.store.read(outcome.result.config_json_sha256))
    assert config["resolved"]["settings"]["optimize"]["views"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("views", [1, 2])
def test_out_of_memory_with_every_plan_is_a_clear_error(tools, stored_job, failing_step, views):
    stored_job.write(with_settings(stored_job.spec, views=views))
    failing_step(torch.OutOfMemoryError("CUDA out of memory"))
    outcome = run(tools, stored_job)
    assert outcome.ending is Ending.FAILED
    assert outcome.error.code is ErrorCode.RES_OOM
    assert outcome.error.retry is Retry.CHANGED
    assert "even with one small view a step" in outcome.error.text
    assert "Close other programs" in outcome.error.hint


@pytest.mark.slow
def test_a_smaller_plan_is_kept_over_a_resume(tools, stored_job, failing_step, broker):
    stored_job.write(with_settings(stored_job.spec, steps=6))
    failing_step(torch.OutOfMemoryError("CUDA out of memory"), at=2, times=1)
    is_stopping = lambda: bool(broker.of(WorkerCheckpoint))  # noqa: E731
    stopped = run(replace(tools, is_stopping=is_stopping, checkpoint_steps=4), stored_job)
    assert stopped.ending is Ending.STOPPED
    outcome = run(tools, stored_job, attempt=2, resume=True)
    config = json.loads(tools.store.read(outcome.result.config_json_sha256))
    assert config["resolved"]["settings"]["optimize"]["views"] == 1


@pytest.mark.slow
def test_a_checkpoint_whose_plan_is_past_the_last_goes_on(tools, stored_job, broker):
    is_stopping = lambda: bool(broker.of(WorkerCheckpoint))  # noqa: E731
    run(replace(tools, is_stopping=is_stopping, checkpoint_steps=1), stored_job)
    state = load_newest(tools.paths, stored_job.name)
    assert state.plan == 0
    save(tools.paths, stored_job.name, replace(state, plan=7))
    assert keep_job(tools, stored_job.name, 2).result is not None
    assert run(tools, stored_job, attempt=2, resume=True).ending is Ending.DONE


@pytest.mark.slow
def test_a_job_from_before_its_model_began_warm_goes_on_and_is_kept(tools, stored_job, broker):
    pocket = replace(stored_job.spec, guidance=ModelSpec(model="pocket"))
    stored_job.write(with_settings(pocket, warm_start=False))
    is_stopping = lambda: bool(broker.of(WorkerCheckpoint))  # noqa: E731
    run(replace(tools, is_stopping=is_stopping, checkpoint_steps=2), stored_job)
    state = load_newest(tools.paths, stored_job.name)
    # As an earlier version has left it: without a word of how it begins.
    stored_job.write(pocket)
    save(tools.paths, stored_job.name, state)
    assert steps_of(tools, keep_job(tools, stored_job.name, 2).result) == state.step
    broker.messages.clear()
    assert run(tools, stored_job, attempt=3, resume=True).ending is Ending.DONE
    first, last = broker.of(WorkerProgress)[0], broker.of(WorkerProgress)[-1]
    assert (first.step, last.step) == (state.step, 3)


@pytest.mark.slow
def test_a_checkpoint_of_a_run_that_began_otherwise_is_begun_anew(tools, stored_job, broker):
    """As an update in the middle of a job leaves one: its steps count otherwise."""
    is_stopping = lambda: bool(broker.of(WorkerCheckpoint))  # noqa: E731
    run(replace(tools, is_stopping=is_stopping, checkpoint_steps=1), stored_job)
    state = load_newest(tools.paths, stored_job.name)
    save(tools.paths, stored_job.name, replace(state, header={**state.header, "warm_steps": 6}))
    # A texture that no step has touched is no result.
    assert keep_job(tools, stored_job.name, 2).result is None
    broker.messages.clear()
    assert run(tools, stored_job, attempt=2, resume=True).ending is Ending.DONE
    assert broker.of(WorkerProgress)[0].step == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: device-side assert triggered"),
    ],
)
def test_a_sticky_cuda_error_ends_the_worker_and_the_job_goes_on_elsewhere(tools, stored_job, failing_step, error):
    failing_step(error)
    outcome = run(tools, stored_job)
    assert outcome.ending is Ending.STICKY
    assert outcome.error.code is ErrorCode.WORKER_CUDA
    assert outcome.error.retry is Retry.SAME


@pytest.mark.slow
def test_an_unexpected_error_tells_an_id_and_the_log_the_rest(tools, stored_job, failing_step, caplog):
    failing_step(ZeroDivisionError("secret /home/artist/plans.txt"))
    outcome = run(tools, stored_job)
    assert outcome.error.code is ErrorCode.INTERNAL
    assert "secret" not in outcome.error.text
    assert outcome.error.err_id in outcome.error.text
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.err_id == outcome.error.err_id
    assert record.exc_info[1].args == ("secret /home/artist/plans.txt",)


@pytest.mark.slow
def test_a_full_disk_costs_the_checkpoint_and_not_the_job(tools, stored_job, broker, monkeypatch):
    def full(*_):
        raise CheckpointError("no") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(job_module, "save", full)
    outcome = run(replace(tools, checkpoint_steps=1), stored_job)
    assert outcome.ending is Ending.DONE
    (notice,) = broker.of(WorkerNotice)
    assert "disk is full" in notice.text


@pytest.mark.slow
def test_a_full_disk_at_the_result_says_so(tools, stored_job, monkeypatch):
    def full(data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tools.store, "put", full)
    outcome = run(tools, stored_job)
    assert outcome.error.code is ErrorCode.RES_DISK
    assert outcome.error.retry is Retry.LATER


def test_a_missing_blob_is_named(tools, stored_job):
    tools.store.remove(stored_job.spec.meshes[0].faces.sha256)
    outcome = run(tools, stored_job)
    assert outcome.error.code is ErrorCode.INPUT_MISSING_BLOB


def test_a_damaged_blob_is_named_and_set_aside(tools, stored_job):
    sha256 = stored_job.spec.meshes[0].faces.sha256
    data = bytearray(tools.store.read(sha256))
    data[5] ^= 8
    tools.store.path(sha256).write_bytes(data)
    outcome = run(tools, stored_job)
    assert outcome.error.code is ErrorCode.INPUT_MISSING_BLOB
    assert sha256 in outcome.error.text
    assert not tools.store.has(sha256)


def test_a_wish_that_cannot_be_met_names_its_field(tools, stored_job):
    unlit = LightingSpec(kind="unlit")
    stored_job.write(replace(stored_job.spec, maps=("base_color", "roughness"), lighting=unlit))
    outcome = run(tools, stored_job)
    assert outcome.error.code is ErrorCode.INPUT_INVALID
    assert outcome.error.field == "lighting.kind"


@pytest.mark.slow
@pytest.mark.parametrize("steps_before", [0, 1, 3])
def test_a_run_that_makes_room_goes_on_to_the_same_bytes(tools, stored_job, arrays, cpu, broker, steps_before):
    stored_job.write(with_settings(stored_job.spec, steps=5))
    stages = len(["mesh", "prior", "texture"])
    ticks = []
    yielding = replace(tools, tick=lambda: ticks.append(1), must_yield=lambda job: len(ticks) >= stages + steps_before)
    outcome = run(yielding, stored_job)
    assert (outcome.ending, outcome.step) == (Ending.YIELDED, steps_before)
    assert [message.step for message in broker.of(WorkerCheckpoint)] == [steps_before][: steps_before > 0]
    # Asked for again at once, before the first step: what was kept is what it goes on from, and it says so.
    outcome = run(replace(tools, must_yield=lambda job: True), stored_job, attempt=2, resume=True)
    assert (outcome.ending, outcome.step) == (Ending.YIELDED, steps_before)
    broker.messages.clear()
    resumed = run(tools, stored_job, attempt=3, resume=True)
    assert broker.of(WorkerProgress)[0].step == steps_before
    expected = expected_maps(stored_job.spec, arrays, cpu)[1001]
    assert tools.store.read(resumed.result.maps[0].sha256) == expected


def test_a_stop_goes_before_making_room_and_a_cancel_before_both(tools, stored_job):
    both = replace(tools, must_yield=lambda job: True, is_stopping=lambda: True)
    assert run(both, stored_job).ending is Ending.STOPPED
    assert run(replace(both, is_cancelled=lambda job: True), stored_job).ending is Ending.CANCELLED


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["gone", "a bit", "another seed"])
def test_a_specification_that_is_not_what_was_accepted_ends_the_job_in_a_sentence(tools, stored_job, damage):
    """Before, a changed seed passed for what was asked for, and a lost file for an error in the server."""
    path = stored_job.paths.spec(stored_job.name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert run_job(tools, stored_job.name, 1, False, digest).error is None
    if damage == "gone":
        path.unlink()
    elif damage == "a bit":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        stored_job.write(with_settings(stored_job.spec, seed=8))
    for outcome in (run_job(tools, stored_job.name, 2, False, digest), keep_job(tools, stored_job.name, 3, digest)):
        assert outcome.error is not None
        assert "the server's disk has lost or damaged it" in outcome.error.text
        assert (outcome.error.retry, outcome.error.hint) == (Retry.CHANGED, "Send the job again.")
        assert outcome.error.err_id is None
