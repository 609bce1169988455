# SPDX-License-Identifier: Apache-2.0
"""PROTOCOL.md says what the code does: every message, field, code and limit, and its examples are real bytes."""

import dataclasses
import json
import re
import typing
from pathlib import Path

import msgpack
import pytest

from blender_addon.protocol import arrays, errors, limits, messages, version
from blender_addon.protocol.codec import decode, encode
from blender_addon.protocol.messages import MESSAGES
from blender_addon.protocol.specs import job as job_spec

PAGE = (Path(arrays.__file__).parent / "PROTOCOL.md").read_text()
SECTIONS = {
    heading.split(" · ")[0].strip(): text
    for heading, text in re.findall(r"^#### ([^\n]+)\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
RECORDS = (
    [messages.JobInfo, messages.JobEvent, messages.JobResult, messages.MapFile, messages.ModelInfo]
    + [messages.BlobProgress, arrays.ArrayRef]
    + [getattr(job_spec, name) for name in job_spec.__all__ if name.endswith("Spec") or name == "TileImage"]
)
ROW = re.compile(r"^\| (`[^|]*`) \|([^|]*)\|", re.MULTILINE)


def rows(section):
    """Field names of a table, with what is in the second column."""
    return {name: second for names, second in ROW.findall(section) for name in re.findall("`([a-z0-9_]+)`", names)}


def examples(kind):
    return dict(re.findall(rf"^```{kind} (\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_and_its_fields(name):
    fields = [field.name for field in dataclasses.fields(MESSAGES[name])]
    assert list(rows(SECTIONS[name])) == fields
    assert fields or "No fields." in SECTIONS[name]


@pytest.mark.parametrize("record", [*RECORDS, errors.WireError], ids=lambda record: record.__name__)
def test_every_record_and_its_fields(record):
    section = SECTIONS["Error" if record is errors.WireError else record.__name__]
    given = rows(section)
    assert list(given) == [field.name for field in dataclasses.fields(record)]
    hints = typing.get_type_hints(record)
    for field in dataclasses.fields(record):
        assert ("?" in given[field.name]) == (type(None) in typing.get_args(hints[field.name])), field.name


def test_nothing_else_has_a_section():
    assert set(SECTIONS) == {*MESSAGES, *(record.__name__ for record in RECORDS), "Error"}


def test_every_code_with_its_retry():
    section = PAGE[PAGE.index("## 11.") : PAGE.index("## 12.")]
    codes = dict(re.findall(r"^\| `([A-Z._]+)` \| (\w+) \|", section, re.MULTILINE))
    assert list(codes) == [code.value for code in errors.ErrorCode]
    assert set(codes.values()) <= {retry.value for retry in errors.Retry}
    assert all(f"`{retry.value}`" in section for retry in errors.Retry)


def test_every_limit_with_its_value():
    values = {name: int(value) for name, value in rows(PAGE[PAGE.index("## 12.") : PAGE.index("## 13.")]).items()}
    assert values == dataclasses.asdict(limits.DEFAULT_LIMITS)


def test_every_value_of_a_list():
    for cls in (messages.JobState, messages.EventKind, messages.PreviewCodec):
        assert all(f"`{member.value}`" in PAGE for member in cls)
    assert all(f"{member.value} = {member.name}" in PAGE for member in arrays.DType)
    assert f"version {version.PROTOCOL_MAJOR}.{version.PROTOCOL_MINOR}" in PAGE.splitlines()[0]
    assert f"`{version.MAGIC.decode()}`" in PAGE


@pytest.mark.parametrize(("name", "buffers"), [("HELLO", ()), ("BLOB_PUT", (b"hello",))])
def test_bytes_of_the_examples(name, buffers):
    header = bytes.fromhex(examples("hex")[name])
    assert msgpack.unpackb(header) == json.loads(examples("json")[name])
    envelope = decode([b"TXP1", header, *buffers])
    assert encode(envelope) == [b"TXP1", header, *buffers]


def test_the_example_of_a_job():
    plain = json.loads(examples("json")["SUBMIT"])
    message = decode([b"TXP1", msgpack.packb(plain)]).message
    assert isinstance(message, messages.Submit)
    assert message.spec.guidance.model == "oracle"
    assert len(message.spec.refs()) == 4
