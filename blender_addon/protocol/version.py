# SPDX-License-Identifier: Apache-2.0
"""The version of the protocol, apart from that of the packages."""

PROTOCOL_MAJOR = 1
"""Another major version cannot be understood; HELLO is rejected."""
PROTOCOL_MINOR = 0
"""A higher minor version adds fields and messages that older peers ignore or do not ask for."""
MAGIC = b"TXP1"
"""First frame of every message."""
