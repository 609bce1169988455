# SPDX-License-Identifier: Apache-2.0
"""Latent diffusion models as priors: how they are loaded, asked and differentiated."""
