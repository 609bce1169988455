# SPDX-License-Identifier: Apache-2.0
"""`pgc compare`: a grid of runs, side by side on one page, and what people choose blindly of it."""
