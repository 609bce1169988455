# SPDX-License-Identifier: Apache-2.0
"""How a diffusion model fits into a card: weights that wait elsewhere, and a gradient that holds less."""
