# SPDX-License-Identifier: Apache-2.0
"""Who is connected: keys, sockets, sessions."""
