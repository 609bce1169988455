# SPDX-License-Identifier: Apache-2.0
"""`python -m pgc`: the same as the command `pgc`."""

from pgc.working_folder import forget_working_folder

if __name__ == "__main__":
    forget_working_folder(__file__)

from pgc.cli import main

if __name__ == "__main__":
    main()
