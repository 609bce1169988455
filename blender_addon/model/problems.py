# SPDX-License-Identifier: GPL-3.0-or-later
"""From errors to what an artist reads: a sentence, and the one button that mends it. Without Blender."""

from __future__ import annotations

from ..build_options import INSTALL_SERVER
from ..client import ErrorCode, WireError
from ..protocol.specs.picture import PICTURE_MODEL
from .state import Problem

__all__ = [
    "absent_problem",
    "broken_problem",
    "connection_problem",
    "defect_problem",
    "draining_problem",
    "empty_problem",
    "forgotten_problem",
    "no_shapes_problem",
    "not_installed_problem",
    "of_error",
    "of_shape",
    "offline_problem",
    "shape_problem",
    "start_problem",
    "unseeing_problem",
    "unwrap_problem",
    "xatlas_problem",
]

_LOG = ("pgc.open_server_log", "Open Server Log")
_AGAIN = ("pgc.generate", "Try Again")
_START = ("pgc.start_server", "Start Server")
_SMALLER = ("pgc.smaller_texture", "Use a Smaller Texture")
_PAIR = ("pgc.pair", "Pair with Server")

_UPDATE = ("pgc.copy_install_command", "Copy Update Command")
_PLAIN: dict[ErrorCode, tuple[str, tuple[str, str]]] = {
    ErrorCode.AUTH_REFUSED: (
        "The server does not know this computer's key. Run pgc-server pair where the server is, then enter its code.",
        _PAIR,
    ),
    ErrorCode.AUTH_FORBIDDEN: (
        "This computer may not do that on the server. Ask whoever runs it, or choose another connection file.",
        ("pgc.choose_connection_file", "Choose Connection File"),
    ),
    ErrorCode.PROTO_VERSION: (
        "The server and this extension are of different versions. Update the older one: pip install -U pgc-texture.",
        _UPDATE,
    ),
    ErrorCode.BUSY: ("The server has too much to do. Try again in a minute.", _AGAIN),
    ErrorCode.DRAINING: ("The server is stopping and takes no more jobs. Start it again.", _START),
    ErrorCode.QUOTA_JOBS: ("Too many jobs wait on the server. Cancel one, or wait for one to end.", _AGAIN),
    ErrorCode.QUOTA_BYTES: ("The server has no room for this mesh now. Try again when a job has ended.", _AGAIN),
    ErrorCode.RES_OOM: (
        "The texture does not fit into the server's memory. Use a smaller texture.",
        _SMALLER,
    ),
    ErrorCode.RES_DISK: ("The server cannot store anything now.", _AGAIN),
    ErrorCode.JOB_UNKNOWN: ("The server no longer knows this job. Generate the texture again.", _AGAIN),
    ErrorCode.JOB_POISONED: (
        "This job crashed the server's worker several times and was set aside. Its log says more.",
        _LOG,
    ),
    ErrorCode.WORKER_LOST: ("The server's worker ended in the middle of the job. Try again.", _AGAIN),
    ErrorCode.WORKER_STALLED: ("The server's worker stopped answering. Try again.", _AGAIN),
    ErrorCode.WORKER_CUDA: ("The graphics driver failed. Try again; if it fails again, restart the computer.", _AGAIN),
    ErrorCode.INTERNAL: ("Something unexpected happened on the server. Its log says more.", _LOG),
}
_WITH_DETAIL = (ErrorCode.INTERNAL, ErrorCode.JOB_POISONED, ErrorCode.RES_OOM, ErrorCode.AUTH_REFUSED)
_SMART = ("pgc.unwrap", "Smart UV Project")
_OF_TEXTURES = ("pgc.generate", "pgc.base_color_only", "pgc.smaller_texture", "pgc.use_model")
_MODEL = (ErrorCode.MODEL_MISSING, ErrorCode.MODEL_HASH, ErrorCode.MODEL_REFUSED)


def of_error(error: WireError, model: str = "pocket") -> Problem:
    """Says what to show for an error of the server; every code has a sentence and a button."""
    if error.code in _MODEL:
        text = f"The model {model} is not ready on the server. {error.text} Download it there, or use the built-in one."
        return Problem(text, "pgc.use_model", "Use the Built-In Model", {"model": "pocket"})
    if error.code is ErrorCode.PROTO_TOO_LARGE and error.field == "settings.texture_size":
        return Problem(" ".join(filter(None, (error.text, error.hint))), *_SMALLER)
    if error.code is ErrorCode.PROTO_TOO_LARGE and error.field == "meshes":
        # Which mesh is sent is the artist's to change; to send it again as it is would be refused again.
        return Problem(" ".join(filter(None, (error.text, error.hint))))
    if error.code is ErrorCode.INPUT_INVALID and (error.field or "").startswith("maps"):
        return Problem(error.text, "pgc.base_color_only", "Use Base Color Only")
    if error.code is ErrorCode.INPUT_UNKNOWN_FIELD:
        # What it knows instead is a list of words that say nothing to an artist.
        wish = (error.field or "of the job").rpartition(".")[2]
        text = f"The server is older than this extension and does not know {wish!r}. Update it: "
        return Problem(f"{text}pip install -U pgc-texture.", *_UPDATE)
    known = _PLAIN.get(error.code)
    if known is None:
        # Errors about the input say themselves what to change.
        return Problem(" ".join(filter(None, (error.text, error.hint))), *_AGAIN)
    text, (operator, label) = known
    detail = error.text if error.code in _WITH_DETAIL else ""
    if error.code is ErrorCode.RES_DISK:  # Full, below its floor, read-only or broken: only the server knows.
        detail = " ".join(filter(None, (error.text, error.hint)))
    mark = f"(Error {error.err_id})" if error.err_id else ""
    return Problem(" ".join(filter(None, (text, detail, mark))), operator, label)


def unwrap_problem(error: WireError) -> Problem:
    """Says what to show where the server's new UVs failed: Blender can make some itself."""
    if (error.field or "").startswith("maps"):
        return xatlas_problem()
    problem = of_error(error)
    return Problem(problem.text, *_SMART) if problem.operator in ("", *_OF_TEXTURES) else problem


def xatlas_problem() -> Problem:
    """Says that the server makes no UVs."""
    text = (
        "The server cannot make UVs: it lacks xatlas, or is of an older version. Use Smart UV Project, or on the "
        "server: pip install xatlas."
    )
    return Problem(text, *_SMART)


def shape_problem(error: WireError, model: str = "pocket", *, again: str = "pgc.refine_shape") -> Problem:
    """Says what to show where a new shape failed: what mends textures alone is no help.

    Args:
        again: the operator that asks for such a one once more.
    """
    if error.code in _MODEL and model == PICTURE_MODEL:
        return unseeing_problem(error.text)
    if error.code is ErrorCode.INPUT_INVALID and (error.field or "").startswith("maps"):
        # An older server came up after the click.
        return no_shapes_problem()
    return of_shape(of_error(error, model), again=again)


def of_shape(problem: Problem, *, again: str) -> Problem:
    """Returns a problem of a job for a new shape, with the button that asks for such a one again."""
    if problem.operator in ("pgc.generate", "pgc.base_color_only", "pgc.smaller_texture"):
        return Problem(problem.text, again, "Try Again")
    return problem


def unseeing_problem(told: str = "It is not installed there.") -> Problem:
    """Says that the server has no model that sees a picture.

    Args:
        told: what the server says of it.
    """
    text = f"Zero123, which judges by a picture, is not ready on the server. {told} Or let the prompt's model judge."
    return Problem(text, "pgc.copy_model_command", "Copy Download Command", {"model": PICTURE_MODEL})


def no_shapes_problem() -> Problem:
    """Says that the server makes no shapes."""
    text = "This server makes no shapes, since it is of an older version. Update it: pip install -U pgc-texture."
    return Problem(text, *_UPDATE)


def absent_problem() -> Problem:
    """Says that no server runs."""
    return Problem("The texture server is not running.", *_START)


def not_installed_problem() -> Problem:
    """Says that no server is known on this computer."""
    text = "The texture server is not installed on this computer."
    if not INSTALL_SERVER:
        return Problem(text, "pgc.copy_install_command", "Copy Install Command")
    return Problem(text, "pgc.install_server", "Install Server")


def start_problem(text: str) -> Problem:
    """Says that the server did not come up."""
    sentence = text.strip().rstrip(".") or "The server cannot be started"
    return Problem(f"{sentence}. Its log says more.", *_LOG)


def connection_problem(reason: str) -> Problem:
    """Says that the connection is lost; the client tries again by itself."""
    return Problem(f"{reason.strip().rstrip('.')}. Connecting again by itself.", *_START)


def draining_problem() -> Problem:
    """Says that the server is there, but about to end."""
    text, fix = _PLAIN[ErrorCode.DRAINING]
    return Problem(text, *fix)


def broken_problem(text: str) -> Problem:
    """Says that the connection's thread has ended by a defect; `text` is its traceback."""
    last = text.strip().splitlines()[-1] if text.strip() else "no reason was given"
    sentence = f"The connection ended by a defect of the extension ({last[:120]}). What runs on the server goes on."
    return Problem(sentence, "pgc.reconnect", "Reconnect")


def defect_problem(doing: str, reason: str, report: str) -> Problem:
    """Tells of an exception that nobody foresaw; `report` is its traceback, which a button copies."""
    short = " ".join(reason.split())[:120]
    sentence = f"{doing} failed by a defect of the extension ({short}). Everything else goes on."
    return Problem(sentence, "pgc.copy_report", "Copy Report", {"text": report[-8000:]})


def empty_problem() -> Problem:
    """Says that a job ended well and gave nothing."""
    return Problem("The server says that the texture is finished, but sent no map. Generate it again.", *_AGAIN)


def forgotten_problem() -> Problem:
    """Says that a job was in the .blend, but never reached the server."""
    text = "The job had not reached the server when Blender closed. Generate the texture again."
    return Problem(text, *_AGAIN)


def offline_problem(host: str) -> Problem:
    """Says that the server is on another machine, and Blender is not allowed online."""
    text = f"The server is on another computer ({host}), and Blender is not allowed to go online."
    return Problem(text, "pgc.allow_online", "Allow Online Access")
