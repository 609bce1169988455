# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators, one file each."""

from . import (
    bake,
    connection,
    fetch_result,
    keep_mask,
    painted,
    prompts,
    results,
    rig,
    scene_fixes,
    server_operators,
    settings_fixes,
    unwrap,
    uv_change,
    version_actions,
    version_reuse,
    version_storage,
)
from .cancel import PGC_OT_cancel, PGC_OT_stop_and_keep
from .copy_report import PGC_OT_copy_report
from .generate import PGC_OT_generate
from .restore import PGC_OT_restore
from .start_server import PGC_OT_start_server
from .unwrap_on_server import PGC_OT_unwrap_on_server

__all__ = ["CLASSES"]

CLASSES = (
    PGC_OT_cancel,
    PGC_OT_copy_report,
    PGC_OT_stop_and_keep,
    PGC_OT_generate,
    PGC_OT_restore,
    PGC_OT_start_server,
    PGC_OT_unwrap_on_server,
    *bake.CLASSES,
    *connection.CLASSES,
    *fetch_result.CLASSES,
    *keep_mask.CLASSES,
    *painted.CLASSES,
    *prompts.CLASSES,
    *results.CLASSES,
    *rig.CLASSES,
    *scene_fixes.CLASSES,
    *server_operators.CLASSES,
    *settings_fixes.CLASSES,
    *unwrap.CLASSES,
    *uv_change.CLASSES,
    *version_actions.CLASSES,
    *version_reuse.CLASSES,
    *version_storage.CLASSES,
)
