# SPDX-License-Identifier: Apache-2.0
"""Files of each mesh format to a mesh: one reader a format."""
