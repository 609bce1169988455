# SPDX-License-Identifier: Apache-2.0
"""Zero123: a diffusion model that judges a view of an object by one picture of it and how the camera moved."""
