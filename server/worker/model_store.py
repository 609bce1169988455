# SPDX-License-Identifier: Apache-2.0
"""The server's own models: pulled by registry key from the hub, safetensors only, every file's hash on record.

A key is a name, never a path. Files lie in huggingface_hub's cache layout under `models/`, and `models/<key>.json`
lists what was pulled, so that a file that changes later is noticed before it is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from server.errors import ConfigError, ServerError
from server.json_files import read_json_map
from server.platform import make_private_directory, write_private

__all__ = ["ModelError", "ModelFile", "ModelStore", "Source", "check_key"]

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_ALLOWED = (".safetensors", ".json", ".txt")
_PIECE = 1 << 22
_HEADER_LIMIT = 100 << 20


class ModelError(ServerError):
    """A model cannot be pulled, is refused, or is not what it was."""


@dataclass(frozen=True)
class Source:
    """What is fetched from one repository of the hub: its id and patterns of file names."""

    hub_id: str
    patterns: tuple[str, ...]


@dataclass(frozen=True)
class ModelFile:
    """One file that was pulled; `path` is relative to the store, `modified` in nanoseconds."""

    path: str
    size: int
    modified: int
    sha256: str


Download = Callable[[Source, Path], Path]
"""Fetches a source into a cache folder and returns the folder of its files."""
Tell = Callable[[str], None]


def check_key(key: str, known: Sequence[str]) -> str:
    """Returns the key, if it is one of the registry's.

    Raises:
        ModelError: it is a path, or unknown.
    """
    if not _KEY.fullmatch(key) or ".." in key or key not in known:
        raise ModelError(f"There is no model {key[:80]!r}; known are {', '.join(known)} (keys, not paths).")
    return key


class ModelStore:
    """Models under one folder, which belongs to the server alone.

    Args:
        root: the folder.
        download: how a source is fetched; from the hub by default.
    """

    def __init__(self, root: Path, download: Download | None = None) -> None:
        self.root = root
        self._download = download or _from_hub

    def pull(self, key: str, sources: Sequence[Source], tell: Tell = lambda text: None) -> list[ModelFile]:
        """Fetches a model, checks every file, and puts it on record.

        Raises:
            ModelError: the hub does not give it, or a file is refused; nothing of the model stays then.
        """
        make_private_directory(self.root)
        self._record(key).unlink(missing_ok=True)
        files: list[ModelFile] = []
        try:
            for source in sources:
                tell(f"Fetching {source.hub_id} …")
                folder = self._download(source, self.root)
                tell(f"Checking {source.hub_id} …")
                files += [self._checked(path) for path in _files(folder)]
        except ModelError:
            self._drop(sources)
            raise
        if not files:
            raise ModelError(f"{key}: nothing was fetched; the hub's files may have been renamed.")
        content = {"key": key, "files": [asdict(file) for file in files]}
        write_private(self._record(key), json.dumps(content, indent=1).encode())
        return files

    def remove(self, key: str, sources: Sequence[Source]) -> bool:
        """Deletes a model's files here; returns whether there were any. The user's own cache stays."""
        record = self._record(key)
        there = record.is_file()
        record.unlink(missing_ok=True)
        return self._drop(sources) or there

    def verify(self, key: str, tell: Tell = lambda text: None) -> list[str]:
        """Hashes every file of a model again; returns what is wrong, nothing where all is well.

        Raises:
            ModelError: the model was not pulled into this store.
        """
        problems: list[str] = []
        for file in self._recorded(key):
            tell(f"Hashing {file.path} …")
            path = self.root / file.path
            try:
                if _sha256(self._inside(path)) != file.sha256:
                    problems.append(f"{file.path} has other bytes than those that were pulled.")
            except (ModelError, OSError):
                problems.append(f"{file.path} is missing or leads out of the store.")
        return problems

    def changed_files(self, key: str) -> list[str]:
        """Returns what is wrong as `verify` does, but hashes only files whose size or time is not what it was: quick
        enough before each load.
        """
        if not self._record(key).is_file():
            return [f"{key} has no record"]
        changed: list[str] = []
        for file in self._recorded(key):
            try:
                path = self._inside(self.root / file.path)
                status = path.stat()
                same = (status.st_size, status.st_mtime_ns) == (file.size, file.modified)
                if not same and _sha256(path) != file.sha256:
                    changed.append(file.path)
            except (ModelError, OSError):
                changed.append(file.path)
        return changed

    def _record(self, key: str) -> Path:
        if not _KEY.fullmatch(key) or ".." in key:
            raise ModelError(f"{key[:80]!r} is no model key; expected letters a-z, digits and . _ -")
        return self.root / f"{key}.json"

    def _recorded(self, key: str) -> Iterator[ModelFile]:
        try:
            entries = [_model_file(entry) for entry in read_json_map(self._record(key))["files"]]
        except FileNotFoundError as error:
            raise ModelError(f"{key} was not pulled into the server; run: pgc-server models pull {key}") from error
        except (ConfigError, ValueError, TypeError, KeyError) as error:
            raise ModelError(f"The record of {key} is damaged; run: pgc-server models pull {key}") from error
        yield from entries

    def _inside(self, path: Path) -> Path:
        """The real file, links followed. Raises ModelError where it lies outside of the store."""
        real = path.resolve(strict=True)
        if not real.is_relative_to(self.root.resolve()):
            raise ModelError(f"{path.name} leads out of the models folder.")
        return real

    def _checked(self, path: Path) -> ModelFile:
        """A file that may be loaded. Raises ModelError for anything else."""
        if path.suffix not in _ALLOWED:
            raise ModelError(
                f"The model holds {path.name}, which is refused: only .safetensors, .json and .txt are kept, because "
                "other formats (pickles: .bin, .ckpt, .pt) can run code when they are loaded."
            )
        real = self._inside(path)
        if path.suffix == ".safetensors":
            _check_safetensors(path.name, real)
        digest = _sha256(real)
        # The hub names big files by their hash.
        if _HASH.fullmatch(real.name) and real.name != digest:
            raise ModelError(f"{path.name} does not have the hash that the hub states; pull it again.")
        status = real.stat()
        relative = path.absolute().relative_to(self.root.absolute())
        return ModelFile(relative.as_posix(), status.st_size, status.st_mtime_ns, digest)

    def _drop(self, sources: Sequence[Source]) -> bool:
        found = False
        for source in sources:
            folder = self.root / f"models--{source.hub_id.replace('/', '--')}"
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)
                found = True
        return found


def _model_file(entry: Mapping[str, Any]) -> ModelFile:
    """An entry of a record. Raises TypeError or ValueError where it is none."""
    file = ModelFile(**entry)
    for field in fields(ModelFile):
        if type(getattr(file, field.name)).__name__ != field.type:
            raise TypeError(field.name)
    if b"\0" in os.fsencode(file.path):  # Which raises ValueError for what no name of a file can be.
        raise ValueError("path")
    return file


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def _check_safetensors(name: str, path: Path) -> None:
    """Raises ModelError where a file's first bytes are not those of safetensors: a length, and a JSON header."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        first = file.read(1)
    if first != b"{" or not 2 <= length <= min(_HEADER_LIMIT, path.stat().st_size):
        raise ModelError(f"{name} is named .safetensors but is something else; it is refused.")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _from_hub(source: Source, cache: Path) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    fetch = cast("Callable[..., str]", huggingface_hub.snapshot_download)  # pyright: ignore[reportUnknownMemberType]
    try:
        return Path(fetch(source.hub_id, cache_dir=cache, allow_patterns=list(source.patterns)))
    except GatedRepoError as error:
        raise ModelError(
            f"The hub refuses {source.hub_id}: accept its licence at https://huggingface.co/{source.hub_id}, run "
            "hf auth login, then pull it again."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"The hub has no {source.hub_id}; it may have moved.") from error
    except (HfHubHTTPError, OSError) as error:
        lines = str(error).strip().splitlines()
        raise ModelError(
            f"{source.hub_id} could not be fetched ({lines[0] if lines else type(error).__name__}); try again."
        ) from error
