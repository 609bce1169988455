# SPDX-License-Identifier: Apache-2.0
"""`pgc playground`: one picture, optimised by a teacher under each way for its gradient (Pan et al., Figure 2)."""
