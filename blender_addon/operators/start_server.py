# SPDX-License-Identifier: GPL-3.0-or-later
"""Start Server."""

import bpy

from ..client.starter import ServerStarter

__all__ = ["PGC_OT_start_server"]


class PGC_OT_start_server(bpy.types.Operator):
    """Start the texture server on this machine. It must have been installed there"""

    bl_idname = "pgc.start_server"
    bl_label = "Start Server"

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            ServerStarter(("pgc-server", "start", "--detach")).start()
        except OSError as error:
            self.report(
                {"ERROR"}, f"The server could not be started ({error.strerror}); install it: pip install pgc-texture"
            )
            return {"CANCELLED"}
        return {"FINISHED"}
