# SPDX-License-Identifier: Apache-2.0
"""What makes a texture whole at the end of a run: seams, gutters, texels that no camera saw."""
