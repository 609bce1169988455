# SPDX-License-Identifier: Apache-2.0
"""Commands of the server without waiting, and the end of its log."""

import os
import time

import pytest

from blender_addon.server_install.server_commands import LogLine, ServerCommand, read_log


@pytest.fixture
def python(tmp_path):
    """Stands in for the server's Python: the arguments after `-m server` are shell commands."""
    if os.name == "nt":
        pytest.skip("the stand-in is a shell script")
    path = tmp_path / "python"
    path.write_text('#!/bin/sh\nshift 3\neval "$@"\n')
    path.chmod(0o755)
    return str(path)


def wait_for(command):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        result = command.result()
        if result is not None:
            return result
        time.sleep(0.02)
    raise AssertionError("no result")


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        ("echo one; echo The server has stopped.", (True, "The server has stopped.")),
        ("echo It belongs to another user. >&2; exit 1", (False, "It belongs to another user.")),
        ("exit 4", (False, "It ended with exit code 4.")),
    ],
)
def test_the_last_line_is_the_answer(python, shell, expected):
    command = ServerCommand(python, [shell])
    command.start()
    assert wait_for(command) == expected


def test_it_is_ended_when_it_takes_too_long(python):
    now = [0.0]
    command = ServerCommand(python, ["exec sleep 60"], limit=5.0, clock=lambda: now[0])
    command.start()
    assert command.result() is None
    now[0] = 5.0
    assert command.result() == (False, "The server did not answer within 5 s; look into its log.")


def test_a_python_that_is_gone_is_an_error(tmp_path):
    command = ServerCommand(str(tmp_path / "gone"), ["stop"])
    with pytest.raises(OSError, match="gone"):
        command.start()
    command.close()


def test_the_log_ends_with_its_newest_lines(tmp_path):
    path = tmp_path / "server.jsonl"
    lines = [f'{{"ts": "2026-01-02T03:04:{at:02d}.000Z", "lvl": "error", "msg": "line {at}"}}' for at in range(30)]
    path.write_text("\n".join([*lines, "not JSON", "[1]"]) + "\n")
    found = read_log(path, 4)
    assert found[1] == LogLine(level="error", text="03:04:29 line 29")
    assert [line.text for line in found[2:]] == ["not JSON", "[1]"]


def test_a_long_log_is_read_from_its_end(tmp_path):
    path = tmp_path / "server.jsonl"
    path.write_text("\n".join(f'{{"msg": "{at} {"x" * 1000}"}}' for at in range(200)))
    found = read_log(path, 500)
    assert found[-1].text.startswith("199 ")
    assert all(line.text.split()[0].isdigit() for line in found)


def test_without_a_log_there_are_no_lines(tmp_path):
    assert read_log(tmp_path / "none") == []
    assert "cannot be read" in read_log(tmp_path)[0].text
