# SPDX-License-Identifier: Apache-2.0
"""Score distillation: from a diffusion prior's noise prediction to a gradient on the latents. One paper, one file."""
