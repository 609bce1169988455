# SPDX-License-Identifier: Apache-2.0
"""`python -m pgc`: the same as the command `pgc`."""

from pgc.cli import main

if __name__ == "__main__":
    main()
