# SPDX-License-Identifier: Apache-2.0
"""`python -m server`: the same as the command `pgc-server`."""

from pgc.working_folder import forget_working_folder

if __name__ == "__main__":
    forget_working_folder(__file__)

from server.cli import app, main

__all__ = ["app", "main"]

if __name__ == "__main__":
    main()
