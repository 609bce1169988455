# SPDX-License-Identifier: Apache-2.0
"""A run on a server: the job, its events, and the same files as a run in this process leaves."""
