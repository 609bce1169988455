# SPDX-License-Identifier: Apache-2.0
"""Diffusion priors behind one small protocol (`pgc.guidance.base`). The only part of pgc that imports diffusers."""
