# SPDX-License-Identifier: Apache-2.0
"""What becomes of ∂L/∂x, the gradient on the composited render, before it reaches the texels. One method, one file."""
