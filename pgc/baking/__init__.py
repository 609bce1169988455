# SPDX-License-Identifier: Apache-2.0
"""Maps that are computed from a finished surface, not optimised: occlusion, and textures for other UVs."""
