# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of WindowManager.pgc: the session's state as plain properties, for scripts and tests.

Blender 4.2 never lets go of these functions. This module must not hold bpy, or pip's bpy crashes at its end.
"""

from __future__ import annotations

from typing import Any

from ..model.state import AppState, JobView, Phase, Problem

__all__ = ["eta", "fix", "job", "job_state", "message", "server", "step", "steps"]

_NAMES = {
    Phase.FINISHED: "done",
    Phase.CANCELLED: "idle",
    # Its message was taken away.
    Phase.FAILED: "idle",
    Phase.RECEIVING: "running",
    Phase.FOUND: "queued",
}


def _state() -> AppState:
    from ..session.event_pump import current_state

    return current_state()


def _newest() -> JobView | None:
    return _state().newest()


def _problem() -> Problem | None:
    state, view = _state(), _newest()
    return state.problem or (view.problem if view is not None else None)


def job_state(group: Any) -> str:  # noqa: ANN401 - bpy calls it, as all of these
    """Returns the state of the newest job; "failed" too where the last click could not make one."""
    view, problem = _newest(), _problem()
    if problem is not None:
        return "failed"
    if view is None:
        return "idle"
    return _NAMES.get(view.phase, view.phase.value)


def message(group: Any) -> str:  # noqa: ANN401
    """Says what went wrong, or the newest job's note."""
    view, problem = _newest(), _problem()
    if problem is not None:
        return problem.text
    return "" if view is None else view.note


def fix(group: Any) -> str:  # noqa: ANN401
    """Returns the operator that mends what went wrong."""
    problem = _problem()
    return "" if problem is None else problem.operator


def server(group: Any) -> str:  # noqa: ANN401
    """Returns the server's name, while it is connected."""
    view = _state().server
    return view.name if view.ready else ""


def job(group: Any) -> str:  # noqa: ANN401
    """Returns the server's name of the newest job while it goes on."""
    view = _newest()
    return view.job or "" if view is not None and view.live else ""


def step(group: Any) -> int:  # noqa: ANN401
    """Returns the step of the newest job."""
    view = _newest()
    return 0 if view is None else view.step


def steps(group: Any) -> int:  # noqa: ANN401
    """Returns how many steps the newest job takes."""
    view = _newest()
    return 0 if view is None else view.steps


def eta(group: Any) -> float:  # noqa: ANN401
    """Returns the seconds that are left, -1 where unknown."""
    view = _newest()
    return -1.0 if view is None or view.eta_s is None else view.eta_s
