# SPDX-License-Identifier: Apache-2.0
"""The persistent service: jobs are accepted, run, streamed and kept."""
