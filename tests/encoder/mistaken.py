"""Servers of the tiny ReasonIR checkpoint and of MiniLM with mistakes, made with plain transformers.

Nothing here comes from the package: what is right is written down a second time, as the reference implementation has it
(prefix tokens counted by tokenising the prefix alone, mean over the tokens behind them, length one), and the mistakes
are those that real servers make: the stock class as `AutoModel` loads it is causal, a pooler that knows no instruction,
a tokenizer that truncates.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging

MARKER = "<|embed|>\n"
QUERY = f"<|user|>\nGiven a question, retrieve relevant passages that help answer the question\n{MARKER}"


class PlainLlama:
    """The tiny checkpoint behind a server.

    Args:
        folder: the checkpoint.
        mistakes: any of "causal", "pools all", "pools last", "pools first", "no newline", "no template", "cut",
            "no norm", "as query", "as document", "strips", "flattens".
    """

    def __init__(self, folder: Path, *mistakes: str) -> None:
        logging.disable_progress_bar()
        self._model = AutoModel.from_pretrained(str(folder), trust_remote_code=False, dtype=torch.float32).eval()
        assert type(self._model).__name__ == "LlamaModel"
        self._tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        self._mistakes = set(mistakes)

    def whole_strings(self, strings: list[str]) -> np.ndarray:
        """For a server that gets prefix and text in one string."""
        if "strips" in self._mistakes:
            strings = [string.strip() for string in strings]
        return np.stack([self._encode(*_parted(string)) for string in strings])

    def roads(self, texts: Sequence[str], role: str) -> np.ndarray:
        """For a server that gets bare texts and a role."""
        role = {"as query": "query", "as document": "document"}.get(next(iter(self._mistakes & ALIKE), ""), role)
        if "strips" in self._mistakes:
            texts = [text.strip() for text in texts]
        return np.stack([self._encode(QUERY if role == "query" else MARKER, text) for text in texts])

    def _encode(self, prefix: str, text: str) -> np.ndarray:
        wrong = self._mistakes
        if "flattens" in wrong:
            prefix, text = prefix.replace("\n", " "), text.replace("\n", " ")
        if "no newline" in wrong:
            prefix = prefix.removesuffix("\n")
        if "no template" in wrong:
            prefix = ""
        ids = self._tokenizer(prefix + text, truncation="cut" in wrong, max_length=512 if "cut" in wrong else None)[
            "input_ids"
        ]
        before = len(self._tokenizer(prefix)["input_ids"]) if prefix else 0
        count = len(ids)
        mask = None
        if "causal" not in wrong:  # every token sees every other, said in so many words
            mask = torch.ones((1, 1, count, count), dtype=torch.bool)
        with torch.no_grad():
            states = self._model(input_ids=torch.tensor([ids]), attention_mask=mask).last_hidden_state[0].numpy()
        if "pools last" in wrong:
            vector = states[-1]
        elif "pools first" in wrong:
            vector = states[0]
        else:
            vector = states[0 if "pools all" in wrong else before :].mean(axis=0)
        return vector if "no norm" in wrong else vector / np.linalg.norm(vector)


ALIKE = {"as query", "as document"}


def _parted(string: str) -> tuple[str, str]:
    for prefix in (QUERY, MARKER):
        if string.startswith(prefix):
            return prefix, string[len(prefix) :]
    raise AssertionError(f"a string came without a prefix: {string[:60]!r}")


class PlainMiniLM:
    """MiniLM behind a server.

    Args:
        folder: the checkpoint.
        mistakes: any of "pools last", "pools first", "reads 512", "no norm".
    """

    def __init__(self, folder: Path, *mistakes: str) -> None:
        logging.disable_progress_bar()
        self._model = AutoModel.from_pretrained(str(folder), dtype=torch.float32).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(str(folder))
        self._mistakes = set(mistakes)

    def whole_strings(self, strings: list[str]) -> np.ndarray:
        """Vectors of strings."""
        longest = 512 if "reads 512" in self._mistakes else 256
        rows = []
        for string in strings:
            batch: Any = self._tokenizer([string], truncation=True, max_length=longest, return_tensors="pt")
            with torch.no_grad():
                states = self._model(**batch).last_hidden_state[0].numpy()
            vector = states.mean(axis=0)
            vector = states[-1] if "pools last" in self._mistakes else vector
            vector = states[0] if "pools first" in self._mistakes else vector
            rows.append(vector if "no norm" in self._mistakes else vector / np.linalg.norm(vector))
        return np.stack(rows)

    def roads(self, texts: Sequence[str], role: str) -> np.ndarray:
        """It makes no difference."""
        return self.whole_strings(list(texts))


class MistakenEncoder:
    """A right encoder's name and fingerprint, and wrong vectors: what `reasonir serve` would serve if it were broken."""

    def __init__(self, right: Any, wrong: PlainLlama | PlainMiniLM) -> None:
        self.name, self.dim, self.window = right.name, right.dim, right.window
        self.fingerprint, self.abstain_below, self._right, self._wrong = right.fingerprint, None, right, wrong

    def encode_queries(self, texts: Sequence[str], /) -> np.ndarray:
        return self._wrong.roads(texts, "query").astype(np.float32)

    def encode_documents(self, texts: Sequence[str], /) -> np.ndarray:
        return self._wrong.roads(texts, "document").astype(np.float32)

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        return self._right.count_tokens(texts)

    def unknown_share(self, texts: Sequence[str], /) -> float:
        return 0.0
