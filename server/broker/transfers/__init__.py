# SPDX-License-Identifier: Apache-2.0
"""What goes to and from clients beside answers: uploads, downloads, events and previews."""
