# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators, one file each."""

from . import bake, keep_mask, prompts, refine_shape, rig, scene_fixes, settings_fixes, unwrap
from .cancel import PGC_OT_cancel, PGC_OT_cancel_all, PGC_OT_stop_and_keep
from .copy_report import PGC_OT_copy_report
from .generate import PGC_OT_generate
from .server import connection, server_operators
from .server.start_server import PGC_OT_start_server
from .unwrap_on_server import PGC_OT_unwrap_on_server
from .versions import actions as version_actions
from .versions import asset, fetch_result, painted, results, seeds, style, uv_change, wear
from .versions import reuse as version_reuse
from .versions import storage as version_storage
from .versions.restore import PGC_OT_restore

__all__ = ["CLASSES"]

CLASSES = (
    PGC_OT_cancel,
    PGC_OT_cancel_all,
    PGC_OT_copy_report,
    PGC_OT_stop_and_keep,
    PGC_OT_generate,
    PGC_OT_restore,
    PGC_OT_start_server,
    PGC_OT_unwrap_on_server,
    *asset.CLASSES,
    *bake.CLASSES,
    *connection.CLASSES,
    *fetch_result.CLASSES,
    *keep_mask.CLASSES,
    *painted.CLASSES,
    *prompts.CLASSES,
    *results.CLASSES,
    *refine_shape.CLASSES,
    *rig.CLASSES,
    *scene_fixes.CLASSES,
    *seeds.CLASSES,
    *style.CLASSES,
    *server_operators.CLASSES,
    *settings_fixes.CLASSES,
    *unwrap.CLASSES,
    *uv_change.CLASSES,
    *version_actions.CLASSES,
    *version_reuse.CLASSES,
    *version_storage.CLASSES,
    *wear.CLASSES,
)
