# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators for the server on this computer, as far as the build has them."""

from ...build_options import INSTALL_SERVER
from .copy_install_command import PGC_OT_copy_install_command
from .server_log import PGC_OT_open_server_log
from .stop_server import PGC_OT_stop_server

__all__ = ["CLASSES"]

CLASSES: tuple[type, ...] = (PGC_OT_copy_install_command, PGC_OT_open_server_log, PGC_OT_stop_server)
if INSTALL_SERVER:
    from .install_server import CLASSES as INSTALLERS
    from .remove_server import PGC_OT_remove_server

    CLASSES = (*CLASSES, *INSTALLERS, PGC_OT_remove_server)
