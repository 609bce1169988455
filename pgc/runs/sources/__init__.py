# SPDX-License-Identifier: Apache-2.0
"""The images that a run is given: what it starts from and keeps, and what it is to resemble."""
