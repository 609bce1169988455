# SPDX-License-Identifier: Apache-2.0
import errno
import io
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from pgc.cli import app
from pgc.errors import PgcError
from pgc.terminal.failures import FailureReporter, reports_failures, sentence_of
from pgc.terminal.streams import ProgressStream, let_errors_go_unread, show_every_character


def text_in(encoding, text, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", None)
    show_every_character()
    sys.stdout.write(text)
    sys.stdout.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "text", "shown"),
    [
        ("cp1252", "→ run … 3 × 4", "-> run … 3 × 4"),
        ("ascii", "→ run … 3 × 4 − 1", "-> run ... 3 x 4 - 1"),
        ("ascii", "Jörg", r"J\xf6rg"),
        ("cp1252", "彩.obj", r"\u5f69.obj"),
        ("utf-8", "bad \udcff name", r"bad \udcff name"),
        ("cp437", "\U0001f409", r"\U0001f409"),
        ("utf-8", "→ 彩", "→ 彩"),
    ],
)
def test_what_an_output_lacks_is_written_in_plain_characters(encoding, text, shown, monkeypatch):
    assert text_in(encoding, text, monkeypatch) == shown


def test_a_progress_stream_that_breaks_goes_silent():
    reader, writer = os.pipe()
    os.close(reader)
    broken = os.fdopen(writer, "w")
    stream = ProgressStream(broken)
    assert stream.write("step 1") == 6
    assert stream.write("step 2") == 6
    stream.flush()
    assert not stream.isatty()
    broken.close()


def test_a_progress_stream_without_standard_error_takes_all():
    assert ProgressStream(None).write("text") == 4


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/a/b.png"),
            ("/a/b.png", "no space left", "free some space"),
        ),
        (PermissionError(errno.EACCES, "Permission denied", b"/a"), ("/a: ", "permission denied", "rights")),
        (OSError(errno.EMFILE, "Too many open files"), ("ulimit -n",)),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/x']"), ("TMPDIR",)),
        (OSError("odd"), ("odd",)),
        (OSError(), ("OSError",)),
    ],
)
def test_what_the_system_refuses_is_one_sentence(error, parts):
    text = sentence_of(error)
    for part in parts:
        assert part in text
    assert text.endswith(".")
    assert "\n" not in text


def test_a_working_folder_that_is_gone_is_named(monkeypatch):
    def gone():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", gone)
    assert "folder you work in is gone" in sentence_of(FileNotFoundError(errno.ENOENT, "No such file or directory"))


@pytest.mark.skipif(sys.platform == "win32", reason="a folder that is worked in cannot be deleted there")
@pytest.mark.parametrize("needed", [True, False])
def test_without_a_working_folder_a_command_that_needs_one_does_not_begin(tmp_path, monkeypatch, capsys, needed):
    begun = []
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    command = FailureReporter("x", PgcError, needs_folder=needed)(lambda: begun.append(1))
    if needed:
        with pytest.raises(typer.Exit) as caught:
            command()
        assert caught.value.exit_code == 2
        assert "x: The folder you work in is gone: change to another one" in capsys.readouterr().err
    else:
        command()
    assert begun == ([] if needed else [1])


def test_commands_of_pgc_need_a_working_folder():
    assert reports_failures.needs_folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("texture mesh.obj --prompt red", 2),
        ("texture /mesh.obj --prompt red --out /out", 2),
        ("export /run --out /out", 2),
        ("transfer /run /mesh.obj --out /out", 2),
        ("uvs /mesh.obj", 2),
        ("demo", 2),
        ("models", 2),
        ("--version", 0),
        ("texture --help", 0),
    ],
)
@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE, errno.EACCES])
def test_a_working_folder_that_cannot_be_used_is_said_by_each_command(line, code, number, monkeypatch):
    """Deleted, on a share that went, or below a folder that was closed: torch would end the process there."""

    def gone():
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "getcwd", gone)
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == code
    assert ("pgc: The folder you work in is gone: change to another one" in done.output) == (code == 2)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PgcError("ours"), 2, "x: ours"),
        (OSError(errno.ENOSPC, "No space left on device", "/a"), 2, "x: /a: no space"),
        (MemoryError(), 2, "x: The memory"),
        (KeyboardInterrupt(), 130, "x: stopped"),
    ],
)
def test_commands_end_by_a_sentence_and_a_code(error, code, text, capsys):
    import typer

    def command():
        raise error

    with pytest.raises(typer.Exit) as ended:
        FailureReporter("x", PgcError)(command)()
    assert ended.value.exit_code == code
    assert text in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes and file descriptors of POSIX")
@pytest.mark.parametrize(
    ("errors", "line", "code"),
    [
        ("reader gone", "pgc pair nonsense", 2),
        ("reader gone", "pgc texture", 2),
        ("reader gone", "pgc --version", 0),
        ("reader gone", "server start --data {file}", 2),
        ("full", "pgc pair nonsense", 2),
        ("closed", "pgc nonsense", 2),
    ],
)
def test_standard_error_that_nobody_reads_changes_no_exit_code(errors, line, code):
    module, *rest = line.format(file=__file__).split()
    number = unwritable(errors)
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *rest],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=number,
            preexec_fn=(lambda: os.close(2)) if errors == "closed" else None,
        )
    finally:
        os.close(number)
    assert done.returncode == code


def unwritable(errors):
    """A file descriptor that cannot be written."""
    if errors == "full" and os.path.exists("/dev/full"):
        return os.open("/dev/full", os.O_WRONLY)
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("errors", ["reader gone", "full"])
def test_errors_that_cannot_be_written_are_lost_and_later_ones_too(monkeypatch, errors):
    number = unwritable(errors)
    monkeypatch.setattr(sys, "stderr", os.fdopen(number, "w", encoding="utf-8"))
    let_errors_go_unread()
    for text in ("one\n", "two\n", "three"):
        assert sys.stderr.write(text) == len(text)
        sys.stderr.flush()
    assert sys.stderr.encoding == "utf-8"
    sys.stderr.close()


def test_errors_that_can_be_written_are_written_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stderr", (tmp_path / "errors").open("w", encoding="utf-8"))
    let_errors_go_unread()
    sys.stderr.write("a line\n")
    assert (tmp_path / "errors").read_text() == "a line\n"
    sys.stderr.close()


def test_a_standard_error_of_another_kind_is_left(monkeypatch):
    for stream in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        let_errors_go_unread()
        assert sys.stderr is stream


def test_a_reader_that_went_is_not_hidden():
    def command():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        FailureReporter("x", PgcError)(command)()


def test_a_checkout_keeps_its_folder_and_others_lose_theirs(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')\n")
    code = (
        "import sys; sys.path.insert(0, {path!r}); from pgc.working_folder import forget_working_folder; "
        "forget_working_folder({main!r}); sys.exit(0 if (sys.path[0] == {path!r}) is {kept} else 1)"
    )
    for main, kept in ((str(tmp_path / "pgc" / "__main__.py"), True), (str(elsewhere / "pgc" / "__main__.py"), False)):
        line = code.format(path=str(tmp_path), main=main, kept=kept)
        environment = {**os.environ, "PYTHONPATH": os.getcwd()}
        done = subprocess.run([sys.executable, "-P", "-c", line], cwd=tmp_path, env=environment, check=False)
        assert done.returncode == (0 if kept else 1), "under -P nothing is taken away"
        done = subprocess.run([sys.executable, "-c", line], cwd=tmp_path, env=environment, check=False)
        assert done.returncode == 0


_WITHOUT_STREAMS = """
import os, sys
os.closerange(0, 3)
sys.stdin = sys.stdout = sys.stderr = None
from pgc.terminal.streams import open_missing_streams
open_missing_streams()
sys.stdout.write("lost")
sys.stderr.write("lost")
sys.stderr.flush()
held = [stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr)]
with open(sys.argv[1], "w") as file:
    file.write(repr([held, sys.stdin.read(), file.fileno() > 2]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file descriptors of POSIX")
def test_streams_that_were_closed_are_there_and_lead_nowhere(tmp_path):
    """Warp's first kernel failed where sys.stderr was None: libraries write there without a look."""
    subprocess.run([sys.executable, "-c", _WITHOUT_STREAMS, str(tmp_path / "seen")], check=True, timeout=60)
    assert (tmp_path / "seen").read_text() == "[[0, 1, 2], '', True]"
