# SPDX-License-Identifier: Apache-2.0
from typer.testing import CliRunner

from pgc.cli import app


def test_a_wrong_code_is_one_sentence_and_exit_code_2(tmp_path):
    result = CliRunner().invoke(app, ["pair", "hello", "--connection", str(tmp_path / "server.json")])
    assert result.exit_code == 2
    assert "no pairing code" in result.stderr
    assert not list(tmp_path.iterdir())
