# SPDX-License-Identifier: Apache-2.0
"""`pgc eval materials`: are known roughness, metallic and normals recovered under light?"""
