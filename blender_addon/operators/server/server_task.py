# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators that do something with the server have in common: one at a time."""

import bpy

from ...local_server import tasks as server_tasks
from ..poll import passes_unless

__all__ = ["OneServerTask"]


class OneServerTask:
    """Mixin of the operators that wait until nothing else is done with the server."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return passes_unless(cls, server_tasks.is_busy(), "Something is being done with the server already")
