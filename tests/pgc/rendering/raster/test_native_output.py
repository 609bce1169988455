# SPDX-License-Identifier: Apache-2.0
import errno
import os
import sys

import pytest

from pgc.rendering.raster.native_output import captured_stderr


def test_native_lines_are_caught_and_the_terminal_comes_back(capfd):
    with captured_stderr() as read:
        os.write(2, b"from native code\nand more\n")
        assert read() == []
    assert read() == ["from native code", "and more"]
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"


def test_the_terminal_comes_back_after_an_error(capfd):
    caught = []

    def fail() -> None:
        with captured_stderr() as read:
            caught.append(read)
            os.write(2, b"lost?")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert caught[0]() == ["lost?"]
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"


def test_without_a_terminal_nothing_is_caught_and_nothing_fails(monkeypatch, capfd):
    """As in a program without a console: no stream, and no descriptor either."""
    monkeypatch.setattr(sys, "stderr", None)
    with captured_stderr() as read:
        os.write(2, b"caught")
    assert read() == ["caught"]

    def no_descriptor(number: int) -> int:
        raise OSError(errno.EBADF, "Bad file descriptor")

    with monkeypatch.context() as patched:
        patched.setattr(os, "dup", no_descriptor)
        with captured_stderr() as read:
            pass
    assert read() == []
    assert capfd.readouterr().err == ""
