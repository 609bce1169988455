# SPDX-License-Identifier: Apache-2.0
"""`pgc eval finishes`: do words of metal and gloss come out as such maps?"""
