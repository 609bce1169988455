# SPDX-License-Identifier: Apache-2.0
"""The version of the protocol, apart from that of the packages."""

PROTOCOL_MAJOR = 1
"""Another major version cannot be understood; HELLO is rejected."""
PROTOCOL_MINOR = 2
"""A higher minor version adds fields and messages that older peers ignore or do not ask for."""
HEADER_VERSION = (PROTOCOL_MAJOR, 0)
"""What the header itself says: its form has been the same since this version."""
MAGIC = b"TXP1"
"""First frame of every message."""
