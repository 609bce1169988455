# SPDX-License-Identifier: Apache-2.0
"""Commands that are run against a server in this process, and a picture for them."""

import pytest
from PIL import Image
from typer.testing import CliRunner

from pgc.cli import app


@pytest.fixture
def pgc(tmp_path):
    """Runs a command against whatever a connection file names: that of the test, another, or (None) none."""

    def run(*words, out=tmp_path / "out", connection=tmp_path / "connection.json"):
        named = [] if connection is None else ["--connection", connection]
        return CliRunner().invoke(app, [str(word) for word in (*words, "--out", out, *named)])

    return run


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "mug.png"
    image = Image.new("RGB", (30, 40), "white")
    image.paste("red", (8, 6, 22, 34))
    image.save(path)
    return path
