# SPDX-License-Identifier: Apache-2.0
"""Jobs from their submission to their end: which runs when, on which worker, and what becomes of it."""
