# SPDX-License-Identifier: Apache-2.0
"""`pgc eval prompts`: does a texture show what its prompt says?"""
