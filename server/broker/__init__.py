# SPDX-License-Identifier: Apache-2.0
"""The front process: sockets, authentication, queue, journal and blobs. Never imports torch, never blocks."""
