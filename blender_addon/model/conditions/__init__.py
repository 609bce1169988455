# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job is told beside the prompt: what the model is shown, single views, what the texture grows out of."""
