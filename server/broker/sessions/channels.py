# SPDX-License-Identifier: Apache-2.0
"""How much of anything the server's sockets take, queue and hold."""

from __future__ import annotations

from blender_addon.protocol.limits import DEFAULT_LIMITS
from server.broker.sessions.auth import CHILD_DOMAIN, CLIENT_DOMAIN
from server.broker.sessions.flood_guard import GuardSettings
from server.broker.sessions.sockets import RouterSettings
from server.children.messages import MAX_MESSAGE_BYTES

__all__ = ["BULK", "BULK_GUARD", "CHILD", "CTL", "CTL_GUARD"]

_MIB = 1 << 20
_LONGEST_CTL, _LONGEST_BULK = 256 << 10, 3 * _MIB // 2
CTL = RouterSettings(CLIENT_DOMAIN, DEFAULT_LIMITS.ctl_frame, _LONGEST_CTL, queue=64, max_backlog=2 * _MIB)
BULK = RouterSettings(CLIENT_DOMAIN, DEFAULT_LIMITS.bulk_frame, _LONGEST_BULK, queue=8, max_backlog=8 * _MIB)
CHILD = RouterSettings(CHILD_DOMAIN, MAX_MESSAGE_BYTES, 64 * _MIB, queue=64, max_backlog=_MIB)
_SLACK = 64 << 10
"""What ZeroMQ reads ahead of the message that it is in."""
CTL_GUARD = GuardSettings(_LONGEST_CTL + _SLACK, 8 * _MIB)
BULK_GUARD = GuardSettings(_LONGEST_BULK + _SLACK, 20 * _MIB)
"""What waits is bounded by the window of uploads, where a client heeds it."""
