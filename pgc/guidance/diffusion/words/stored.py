# SPDX-License-Identifier: Apache-2.0
"""Prompts that were encoded before, on the disk: by the content of the files that read them, and by their words.

A file's name is a hash of all that its numbers depend on; the words themselves are not written. So a model whose text
encoder or tokenizer changed finds nothing of the one before. A file that is damaged counts as absent and is made anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from pgc.errors import GuidanceError, OutputError
from pgc.guidance.base import PromptEmbedding
from pgc.guidance.sources import weights_variant
from pgc.whole_files import remove_leftovers, write_tensors

__all__ = ["MOST_BYTES", "StoredWords", "fingerprint_of", "reader_of"]

_LOG = logging.getLogger(__name__)
MOST_BYTES = 256 * 2**20
"""Of all stored prompts; about eight hundred of SDXL. The longest unused ones go."""
_FORMAT = 1
"""Of the files, and of how a prompt is cut and put together: raised when either changes."""
_MOST_FILE = 32 * 2**20
_SUFFIX = ".safetensors"
_SETTINGS = (".json", ".txt", ".model", ".jinja")
_BLOB = re.compile(r"[0-9a-f]{64}")


def fingerprint_of(folder: Path, parts: Sequence[str], *, half: bool) -> str:
    """Hashes the files of these subfolders that are read: settings, vocabularies, and the weights of the precision that
    is taken. SDXL's 1.6 GB take about a second; T5's 9.5 none where they lie in the hub's cache, which names each file
    by such a hash.

    Raises:
        GuidanceError: one cannot be read.
    """
    whole = hashlib.sha256()
    try:
        for part in sorted(parts):
            for path in sorted((folder / part).iterdir()):
                if path.suffix in _SETTINGS or path.name in _weights(folder / part, half):
                    whole.update(f"{part}/{path.name}:".encode() + _content(path))
    except OSError as error:
        raise GuidanceError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error
    return whole.hexdigest()


def _content(path: Path) -> bytes:
    """What tells a file from others: its SHA-256. The hub's cache keeps large files as `blobs/SHA-256` behind links of
    their names, and checks their size alone when it fetches them: the time is told too, so that what a damaged file's
    reader said is not believed once the file was fetched again."""
    kept = path.resolve() if path.is_symlink() else path
    if kept != path and kept.parent.name == "blobs" and _BLOB.fullmatch(kept.name):
        about = kept.stat()
        return hashlib.sha256(f"{kept.name} {about.st_size} {about.st_mtime_ns}".encode()).digest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _weights(folder: Path, half: bool) -> frozenset[str]:
    """Names of the files of weights that a loader takes; tokenizers have none."""
    names = [path.name for path in folder.iterdir() if path.suffix == _SUFFIX]
    if not names:
        return frozenset()
    fp16 = weights_variant(folder, half=half) == "fp16"
    return frozenset(name for name in names if (".fp16" in name) == fp16)


def reader_of(fingerprint: str, *, dtype: torch.dtype, device: torch.device, settings: Mapping[str, str]) -> str:
    """Names all that a prompt's numbers depend on but its words: files, precision, libraries, and the arithmetic of
    this device, down to the order in which its threads add."""
    if device.type == "cpu":
        place = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    else:
        place = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    libraries = [torch.__version__, version("transformers")]
    return json.dumps([_FORMAT, fingerprint, str(dtype), place, libraries, dict(sorted(settings.items()))])


class StoredWords:
    """The prompts that one reader has encoded."""

    def __init__(self, folder: Path, reader: str, device: torch.device, most_bytes: int = MOST_BYTES) -> None:
        """`folder` is shared by all readers, and made when something is stored; `device` is where embeddings go."""
        self._folder = folder
        self._reader = reader
        self._device = device
        self._most_bytes = most_bytes

    def encoded(
        self, prompts: Sequence[str], encode: Callable[[Sequence[str]], PromptEmbedding], *, length: int | None = None
    ) -> PromptEmbedding:
        """Returns the prompts' embeddings, of which `encode` makes those that are not stored: each by itself, so that
        none depends on what it was first asked beside. `length` says in how many tokens, where that may be chosen."""
        return PromptEmbedding.cat([self._one(prompt, encode, length) for prompt in prompts])

    def path(self, prompt: str, length: int | None = None) -> Path:
        """Says where a prompt's embedding is, or would be."""
        asked = [self._reader, prompt] if length is None else [self._reader, prompt, length]
        name = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
        return self._folder / f"{name}{_SUFFIX}"

    def _one(
        self, prompt: str, encode: Callable[[Sequence[str]], PromptEmbedding], length: int | None
    ) -> PromptEmbedding:
        path = self.path(prompt, length)
        found = _read(path, self._device)
        if found is not None:
            return found
        made = encode([prompt])
        self._store(path, made)
        return made

    def _store(self, path: Path, made: PromptEmbedding) -> None:
        tensors = {name: value for name, value in _tensors(made).items() if value is not None}
        kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        try:
            if not self._folder.is_dir():
                self._folder.mkdir(parents=True, mode=0o700)
            write_tensors(path, kept, {"sum": _sum(kept)})
            self._make_room(path)
        except (OutputError, OSError) as error:
            # It saves time and nothing else: a run goes on without it.
            _LOG.info("a prompt's embedding is not kept: %s", error)

    def _make_room(self, newest: Path) -> None:
        remove_leftovers(self._folder)
        ages = list[tuple[float, int, Path]]()
        for path in self._folder.glob(f"*{_SUFFIX}"):
            # Another process may have removed it.
            with suppress(FileNotFoundError):
                about = path.stat()
                ages.append((about.st_mtime, about.st_size, path))
        total = sum(size for _, size, _ in ages)
        for _, size, path in sorted(ages):
            if total <= self._most_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                total -= size


def _tensors(made: PromptEmbedding) -> dict[str, Tensor | None]:
    return {"hidden_states": made.hidden_states, "pooled": made.pooled, "lengths": made.lengths}


def _sum(tensors: Mapping[str, Tensor]) -> str:
    """A hash of the numbers, which a damaged disk does not keep."""
    whole = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        whole.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        whole.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def _read(path: Path, device: torch.device) -> PromptEmbedding | None:
    """What is stored; None where there is nothing, or something that was damaged. What is read is young again."""
    try:
        if path.stat().st_size > _MOST_FILE:
            return None
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        told = json.loads(data[8 : 8 + length])["__metadata__"]["sum"]
        found = load(data)
        if told != _sum(found):
            raise ValueError("its numbers are not those that were written")
        words = PromptEmbedding(**{name: value.to(device) for name, value in found.items()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError, GuidanceError) as error:
        _LOG.info("%s is made anew: %s", path, error)
        return None
    # Where it may be read only, it is of use all the same.
    with suppress(OSError):
        os.utime(path)
    return words
