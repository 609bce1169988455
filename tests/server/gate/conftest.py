# SPDX-License-Identifier: Apache-2.0
"""Fixtures of jobs."""

from tests.server.jobs import arrays, cpu, oracle_job, stored_job

__all__ = ["arrays", "cpu", "oracle_job", "stored_job"]
