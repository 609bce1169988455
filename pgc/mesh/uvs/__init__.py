# SPDX-License-Identifier: Apache-2.0
"""UVs of a mesh: where they lie, which are used for a run, and how new ones are made."""
