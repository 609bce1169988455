# SPDX-License-Identifier: Apache-2.0
"""`pgc eval oracle`: a known texture is recovered."""
