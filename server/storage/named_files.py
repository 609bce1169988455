# SPDX-License-Identifier: Apache-2.0
"""What the server's owner has given names to beside its models: ControlNets and IP-Adapters. Jobs choose them by name;
where they lie no client hears.

    NamedFiles(paths.models).find("normal", "mine")
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from server.errors import ConfigError
from server.json_files import read_json_map
from server.platform import make_private_directory, write_private

__all__ = ["ADAPTER", "NAMED_KINDS", "NamedFile", "NamedFiles", "find_named"]

ADAPTER: Final = "ip-adapter"
NAMED_KINDS: Final = ("depth", "depth-official", "normal", "tile", "shuffle", "edges", "light", ADAPTER)
"""What can have a name: a ControlNet for one of the controls, or an IP-Adapter."""
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MOST = 256


@dataclass(frozen=True)
class NamedFile:
    """One of them.

    Args:
        kind: one of `NAMED_KINDS`.
        key: what jobs call it.
        source: where it is: of a ControlNet its folder, of an IP-Adapter its file.

    Raises:
        ConfigError: a name that jobs could not say, no such kind, or a source that is no text.
    """

    kind: str
    key: str
    source: str

    def __post_init__(self) -> None:
        if self.kind not in NAMED_KINDS:
            raise ConfigError(f"There is no kind {self.kind[:40]!r}; expected one of {', '.join(NAMED_KINDS)}.")
        if not _KEY.fullmatch(self.key):
            raise ConfigError(f"The name {self.key[:80]!r} must have 1 to 64 letters of a-z, digits and . _ -")
        # Read from a file that a hand may have written.
        if not isinstance(self.source, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Where {self.kind} {self.key} is has to be said by text, a path.")

    @property
    def is_there(self) -> bool:
        """Whether there is something where it was that this process can see: a drive may be away, or refuse."""
        try:
            return Path(self.source).exists()
        except (OSError, ValueError):
            return False


class NamedFiles:
    """The list of them, in a file that is read each time: what was named a moment ago can be chosen.

    Args:
        root: the server's folder of models.
    """

    def __init__(self, root: Path) -> None:
        self._file = root / "named.json"

    def all(self) -> tuple[NamedFile, ...]:
        """Returns all, by kind and name.

        Raises:
            ConfigError: the list is damaged.
        """
        try:
            entries = read_json_map(self._file)["named"]
        except FileNotFoundError:
            return ()
        except KeyError as error:
            raise ConfigError(f"{self._file} is damaged; delete it, and name the files again.") from error
        try:
            found = [NamedFile(**cast("dict[str, Any]", entry)) for entry in entries]
        except ConfigError as error:
            raise ConfigError(f"{self._file} is damaged: {error} Correct it, or delete the file.") from error
        except TypeError as error:
            raise ConfigError(f"{self._file} is damaged; delete it, and name the files again.") from error
        return tuple(sorted(found, key=lambda one: (one.kind, one.key)))

    def find(self, kind: str, key: str) -> NamedFile | None:
        """Returns the one of this kind and name; None: there is none. Raises as `all`."""
        return next((one for one in self.all() if (one.kind, one.key) == (kind, key)), None)

    def keys(self, kind: str) -> tuple[str, ...]:
        """Returns the names that a kind has. Raises as `all`."""
        return tuple(one.key for one in self.all() if one.kind == kind)

    def add(self, named: NamedFile) -> None:
        """Puts one on the list, in the place of another of its kind and name.

        Raises:
            ConfigError: the list is damaged, full, or cannot be written.
        """
        others = [one for one in self.all() if (one.kind, one.key) != (named.kind, named.key)]
        if len(others) >= _MOST:
            raise ConfigError(f"There are {len(others)} names, and {_MOST} at most; forget some.")
        self._write([*others, named])

    def remove(self, kind: str, key: str) -> bool:
        """Takes one off the list; its files stay. Returns whether it was there. Raises as `add`."""
        known = self.all()
        kept = [one for one in known if (one.kind, one.key) != (kind, key)]
        if len(kept) < len(known):
            self._write(kept)
        return len(kept) < len(known)

    def _write(self, named: list[NamedFile]) -> None:
        make_private_directory(self._file.parent)
        write_private(self._file, json.dumps({"named": [asdict(one) for one in named]}, indent=1).encode())


def find_named(files: NamedFiles, kind: str, key: str, field: str) -> NamedFile:
    """Returns what a job has chosen.

    Raises:
        ProtocolError: there is none of this name, or it is gone; the error names the field.
        ConfigError: the list is damaged.
    """
    found = files.find(kind, key)
    if found is None:
        has = ", ".join(files.keys(kind)) or "none"
        text = f"The server has no {kind} of the name {key}; it has {has}."
        hint = f"On the server, run: pgc-server models name {kind} {key} SOURCE"
        raise ProtocolError(WireError(ErrorCode.MODEL_MISSING, Retry.CHANGED, text, field=field, hint=hint))
    if not found.is_there:
        text = f"The server's {kind} {key} is not where it was; its owner may name it again."
        raise ProtocolError(WireError(ErrorCode.MODEL_MISSING, Retry.CHANGED, text, field=field))
    return found
