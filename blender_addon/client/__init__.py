# SPDX-License-Identifier: Apache-2.0
"""The client of the server: one thread, no Blender."""
