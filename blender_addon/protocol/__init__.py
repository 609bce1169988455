# SPDX-License-Identifier: Apache-2.0
"""The wire protocol: messages, validation, codec. No sockets, no Blender, no torch."""
