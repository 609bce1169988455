# SPDX-License-Identifier: Apache-2.0
import os

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
