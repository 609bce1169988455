# SPDX-License-Identifier: Apache-2.0
"""The recipes of materials, a kind of material a file."""
