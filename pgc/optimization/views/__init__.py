# SPDX-License-Identifier: Apache-2.0
"""What a run looks at, and what it tells its prior of that."""
