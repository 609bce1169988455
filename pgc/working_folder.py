# SPDX-License-Identifier: Apache-2.0
"""Nothing is imported from the folder that a person happens to work in.

`python -m NAME` puts that folder first, and a json.py or torch.py that lies there would be taken for the real one.
This module imports nothing that is not loaded before any program.
"""

import os
import sys

__all__ = ["forget_working_folder"]


def forget_working_folder(main_file: str) -> None:
    """Takes the working folder off `sys.path`, unless the package whose `__main__.py` this is lies in it.

    A checkout that is not installed is itself the working folder, and keeps it.
    """
    if sys.flags.safe_path or not sys.path:
        return
    home = os.path.dirname(os.path.dirname(os.path.abspath(main_file)))
    try:
        here = os.getcwd()
        if sys.path[0] in ("", here) and not os.path.samefile(here, home):
            del sys.path[0]
    except OSError:
        return  # A folder that is gone holds nothing to import.
