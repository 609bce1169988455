# SPDX-License-Identifier: Apache-2.0
"""The bytes of version 1.0, of every message: who changes them makes another version."""

from pathlib import Path

import pytest

from blender_addon.protocol.codec import decode, encode
from blender_addon.protocol.messages import MESSAGES
from blender_addon.protocol.version import MAGIC, PROTOCOL_MAJOR, PROTOCOL_MINOR
from tests.blender_addon.protocol.samples import ENVELOPES, LATER

VERSIONS = Path(__file__).parent / "golden"
GOLDEN = VERSIONS / "1.0"


def test_there_is_a_sample_and_a_golden_file_of_every_message():
    assert set(ENVELOPES) == set(MESSAGES)
    assert {path.stem for path in GOLDEN.iterdir()} == set(MESSAGES)
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 64 << 10


@pytest.mark.parametrize("name", MESSAGES)
def test_bytes_of_1_0(name):
    header = (GOLDEN / f"{name}.msgpack").read_bytes()
    sample = ENVELOPES[name]
    assert encode(sample) == [MAGIC, header, *sample.buffers], (
        f"{name} has other bytes than in version 1.0. A new optional field needs a new minor version with golden files "
        "of its own; 1.0's stay."
    )
    assert decode([MAGIC, header, *sample.buffers]) == sample


def test_there_is_a_folder_of_every_later_version():
    assert {path.name for path in VERSIONS.iterdir()} == {"1.0", *LATER}
    assert {(path.parent.name, path.stem) for path in VERSIONS.glob("*/*.msgpack") if path.parent != GOLDEN} == {
        (version, name) for version, messages in LATER.items() for name in messages
    }
    assert f"{PROTOCOL_MAJOR}.{PROTOCOL_MINOR}" in LATER


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in LATER for name in LATER[version]])
def test_bytes_of_later_versions(version, name):
    header = (VERSIONS / version / f"{name}.msgpack").read_bytes()
    sample = LATER[version][name]
    assert encode(sample) == [MAGIC, header, *sample.buffers]
    assert decode([MAGIC, header, *sample.buffers]) == sample
    assert header != (GOLDEN / f"{sample.message.TYPE}.msgpack").read_bytes()
