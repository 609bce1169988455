# SPDX-License-Identifier: Apache-2.0
"""What the server keeps on the disk, and the care that it takes of it: whose a folder is, copies of the journal,
quarantine, and an age that no wrong clock can change."""
