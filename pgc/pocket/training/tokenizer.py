# SPDX-License-Identifier: Apache-2.0
"""The prior's own BPE tokenizer: caption words are whole tokens, anything else falls back to pieces."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from pgc.pocket.data.captions import vocabulary
from pgc.whole_files import write_text

MAX_LENGTH = 32
START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"


def _pair_up(words: list[list[str]]) -> tuple[str, str] | None:
    """The most frequent neighbouring pair; ties go to the first in alphabetical order."""
    pairs: Counter[tuple[str, str]] = Counter()
    for pieces in words:
        pairs.update(pairwise(pieces))
    return min(pairs, key=lambda pair: (-pairs[pair], pair)) if pairs else None


def _merge(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    index = 0
    while index < len(pieces):
        if tuple(pieces[index : index + 2]) == pair:
            merged.append(pieces[index] + pieces[index + 1])
            index += 2
        else:
            merged.append(pieces[index])
            index += 1
    return merged


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Learns BPE merges until every word is one token. Deterministic."""
    split = [[*word[:-1], word[-1] + _WORD_END] for word in sorted(set(words)) if not word.isdigit()]
    merges: list[tuple[str, str]] = []
    while (pair := _pair_up(split)) is not None:
        merges.append(pair)
        # Few words have any one pair, and a vocabulary has hundreds of pairs.
        split = [_merge(pieces, pair) if pair[0] in pieces else pieces for pieces in split]
    return merges


def write_tokenizer(folder: Path, groups: Mapping[str, Sequence[str]] | None = None) -> None:
    """Writes ``vocab.json``, ``merges.txt`` and the configuration of the tokenizer.

    ``groups`` are the words that become whole tokens, by default those of ``vocabulary``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges([word for group in (groups or vocabulary()).values() for word in group])
    # Every byte has a token, as in GPT-2's alphabet, so that any prompt in any script has one.
    alphabet = [_byte_symbol(byte) for byte in range(256)]
    tokens = [*alphabet, *(symbol + _WORD_END for symbol in alphabet)]
    tokens += [token for first, second in merges if (token := first + second) not in tokens]
    tokens = [*dict.fromkeys(tokens), START, END]
    write_text(folder / "vocab.json", json.dumps({token: number for number, token in enumerate(tokens)}))
    write_text(folder / "merges.txt", "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
    config = {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": MAX_LENGTH, "do_lower_case": True,
        "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END, "errors": "replace",
    }  # fmt: skip
    write_text(folder / "tokenizer_config.json", json.dumps(config, indent=1))
    special = {key: config[key] for key in ("bos_token", "eos_token", "unk_token", "pad_token")}
    write_text(folder / "special_tokens_map.json", json.dumps(special, indent=1))


def _byte_symbol(byte: int) -> str:
    """Printable stand-in of a byte: itself where it is visible Latin-1, else a code point from 256 on."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    if byte in visible:
        return chr(byte)
    return chr(256 + [other for other in range(256) if other not in visible].index(byte))


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """Loads the tokenizer that ``write_tokenizer`` wrote."""
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
    return tokenizer
