# SPDX-License-Identifier: Apache-2.0
"""Small JSON files of the data folder, as a disk or a hand may have left them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from server.errors import ConfigError

__all__ = ["read_json_map"]

_LARGEST = 4 << 20
"""Bytes. The longest of ours, a model's record, has some ten thousand."""


def read_json_map(path: Path) -> dict[str, Any]:
    """Reads the map in a file.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it cannot be read, is far too large, or holds something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ConfigError(f"{path.name} cannot be read: it has more than {_LARGEST} bytes.")
        content = json.loads(data)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}.") from error
    except (ValueError, RecursionError) as error:
        # Lists in lists without end are no ValueError.
        raise ConfigError(f"{path.name} cannot be read: {type(error).__name__}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path.name} holds no map.")
    return cast("dict[str, Any]", content)
