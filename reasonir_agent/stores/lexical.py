"""BM25 over words (bm25s), saved beside the passages and rebuilt when the set of passages has changed.

Words are found by Unicode's classes, composed (NFKC) and folded in case, and keep their vowel signs; runs of Chinese, Japanese and Korean characters, which have no
spaces, become overlapping pairs of characters. English function words are left out.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.errors import StoreError, boundary, missing_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNS: Final = "".join(chr(n) for n in range(0x300, 0x1B00) if unicodedata.category(chr(n)).startswith("M"))
_WORD: Final = re.compile(rf"[\w{_SIGNS}]+")  # \w has no vowel signs, and Hindi has few words without them
_CJK: Final = re.compile(
    "[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]+"
)
STOP_WORDS: Final = frozenset(
    """a about after all also am an and any are as at be because been before being but by can could did do does doing
    for from had has have having he her here hers him his how i if in into is it its just me more most my no nor not of
    off on once only or other our out over own same she should so some such than that the their them then there these
    they this those through to too under until up very was we were what when where which while who whom why will with
    would you your""".split()
)


def words(text: str) -> list[str]:
    """The tokens of a text, in order, repetitions kept."""
    found: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).casefold().replace("_", " ")):
        word = match.group()
        if word.isascii():
            if word not in STOP_WORDS:
                found.append(word)
        else:
            found += _mixed(word)
    return found


def _mixed(word: str) -> list[str]:
    """A word that may hold characters of a script without spaces."""
    found: list[str] = []
    at = 0
    for run in _CJK.finditer(word):
        found += [word[at : run.start()]] if run.start() > at else []
        characters = run.group()
        found += [characters[i : i + 2] for i in range(len(characters) - 1)] or [characters]
        at = run.end()
    return found + ([word[at:]] if at < len(word) else [])


class LexicalIndex:
    """A BM25 index over the passages of one generation.

    Args:
        folder: where it is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids: list[str] = []
        self._bm25: Any = None
        self._generation: int | None = None

    def is_fresh(self, generation: int) -> bool:
        """Whether what is loaded, or saved, was built from this generation."""
        return self._generation == generation or self._saved_generation() == generation

    def build(self, texts: Iterable[tuple[str, str]], generation: int) -> None:
        """Index (id, text) pairs and save; replaces what was there in one move."""
        bm25s = _bm25s()
        self._ids, tokens = [], []
        for one, text in texts:
            self._ids.append(one)
            tokens.append(words(text))
        self._bm25 = None
        if any(tokens):
            self._bm25 = bm25s.BM25()
            self._bm25.index(tokens, show_progress=False)
        self._generation = generation
        self._save()

    def scores(self, query: str, generation: int) -> dict[str, float]:
        """BM25 of every passage that shares a word with the query.

        Raises:
            StoreError: no index of this generation is there; `build` first.
        """
        self._load(generation)
        terms = words(query)
        if self._bm25 is None or not terms:
            return {}
        values: NDArray[np.float32] = self._bm25.get_scores(terms)
        return {self._ids[number]: float(values[number]) for number in np.flatnonzero(values > 0)}

    def rarity(self, terms: Sequence[str]) -> dict[str, float]:
        """How telling each term is in this corpus: log(1 + passages / (1 + passages with it)), 0 or more."""
        if self._bm25 is None:
            return dict.fromkeys(terms, 1.0)
        vocabulary, pointers = self._bm25.vocab_dict, self._bm25.scores["indptr"]
        total = len(self._ids)
        result = {}
        for term in terms:
            number = vocabulary.get(term)
            holders = 0 if number is None else int(pointers[number + 1] - pointers[number])
            result[term] = float(np.log1p(total / (1 + holders)))
        return result

    def _saved_generation(self) -> int | None:
        try:
            return int(json.loads((self._folder / "passages.json").read_text())["generation"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _load(self, generation: int) -> None:
        if self._generation == generation:
            return
        if self._saved_generation() != generation:
            raise StoreError(f"the lexical index in {self._folder} is behind; run: reasonir index")
        with boundary(StoreError, f"reading the lexical index in {self._folder} (delete that folder, it is rebuilt)"):
            self._ids = json.loads((self._folder / "passages.json").read_text())["ids"]
            has_words = (self._folder / "params.index.json").is_file()
            self._bm25 = _bm25s().BM25.load(self._folder, mmap=True) if has_words else None
        self._generation = generation

    def _save(self) -> None:
        with boundary(StoreError, f"writing the lexical index in {self._folder}", catch=(OSError,)):
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(dir=self._folder.parent, prefix="lexical-"))
            if self._bm25 is not None:
                self._bm25.save(aside, show_progress=False)
            (aside / "passages.json").write_text(json.dumps({"generation": self._generation, "ids": self._ids}))
            shutil.rmtree(self._folder, ignore_errors=True)
            aside.rename(self._folder)


def _bm25s() -> Any:
    try:
        import bm25s
    except ModuleNotFoundError as cause:
        raise missing_extra("agent", "lexical search", cause) from cause
    return bm25s
