# SPDX-License-Identifier: Apache-2.0
"""Pictures of a result for people: studio views, contact sheet, turntable."""
