# SPDX-License-Identifier: Apache-2.0
"""`pgc eval methods`: what a choice of method does to the textures of the built-in prior."""
