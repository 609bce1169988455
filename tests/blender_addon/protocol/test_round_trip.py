# SPDX-License-Identifier: Apache-2.0
"""What is encoded comes back as it was, whatever valid message it is."""

import math
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blender_addon.protocol.codec import Envelope, decode, encode, peek_id, request_id
from blender_addon.protocol.messages import MESSAGES
from blender_addon.protocol.specs.job import TextureJobSpec
from blender_addon.protocol.structure import from_wire, to_wire
from tests.blender_addon.protocol import samples
from tests.blender_addon.protocol.strategies import instances

IDS = st.binary(min_size=16, max_size=16).map(bytes.hex)
BUFFERS = st.lists(st.binary(max_size=16), max_size=8).map(tuple)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_comes_back(name):
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(instances(MESSAGES[name]), IDS, st.none() | IDS, BUFFERS)
    def comes_back(message, id, other, buffers):
        envelope = Envelope(message, id, other, other, other, buffers)
        frames = encode(envelope)
        assert decode(frames) == envelope
        assert peek_id(frames) == id
        # As they come from sockets that do not copy.
        assert decode([memoryview(frame) for frame in frames]) == envelope

    comes_back()


def test_a_job_as_it_lies_in_the_journal():
    spec = samples.spec()
    assert from_wire(TextureJobSpec, to_wire(spec)) == spec


def test_defaults_need_not_be_sent():
    plain = to_wire(samples.spec())
    kept = {"meshes": plain["meshes"], "prompt": {"text": "moss"}}
    spec = from_wire(TextureJobSpec, kept)
    assert spec.maps == ("base_color",)
    assert spec.cameras.kind == "sampler"
    assert spec.settings.preset == "standard"
    assert spec.distillation.kind == spec.regulation.kind == "preset"


def test_refs_name_every_array_by_its_path():
    refs = samples.spec().refs()
    assert refs["meshes[1].faces"] == samples.mesh().faces
    assert refs["guidance.oracle_texture[0].array"].shape == (64, 64, 3)
    assert refs["lock_mask[0].array"].shape == (64, 64)
    assert len(refs) == 8 + 6 + 3


def test_whole_numbers_may_stand_for_fractions():
    plain = to_wire(samples.EVENT) | {"eta_s": 8}
    assert math.isclose(from_wire(type(samples.EVENT), plain).eta_s or 0, 8.0)


def test_request_ids_differ():
    ids = {request_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", value) for value in ids)
