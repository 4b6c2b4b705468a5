"""Vectors in a LlamaIndex key-value store, under keys that tell fingerprint and role.

What is in the store is not trusted: a value of another shape is encoded again and overwritten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from llama_index.core.storage.kvstore.types import BaseKVStore

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

Role = Literal["query", "document"]

COLLECTION: Final = "reasonir_embeddings"
"""Beside LlamaIndex's own collection "embeddings", whose keys are the bare texts."""


class VectorCache:
    """A cache of vectors.

    Args:
        store: any key-value store of LlamaIndex.
    """

    def __init__(self, store: BaseKVStore) -> None:
        self._store = store

    def vectors(
        self, texts: list[str], encode: Callable[[list[str]], FloatMatrix], namespace: str, dim: int
    ) -> list[list[float]]:
        """Vectors of texts, encoding those that the store does not hold.

        Args:
            texts: what is encoded.
            encode: texts to vectors, float32 [n, dim].
            namespace: what tells vectors of these texts from others: fingerprint and role.
            dim: length of a vector.

        Raises:
            InputError: `texts` is no list of strings.
        """
        if not all(isinstance(text, str) for text in texts):
            encode(texts)  # says what is wrong, in the encoder's own words
        keys = {text: _key(namespace, text) for text in texts}
        known = {text: row for text, key in keys.items() if (row := self._read(key, dim)) is not None}
        missing = [text for text in keys if text not in known]
        for text, row in zip(missing, encode(missing).tolist() if missing else [], strict=True):
            known[text] = row
            self._store.put(keys[text], {"vector": row}, COLLECTION)
        return [known[text] for text in texts]

    def _read(self, key: str, dim: int) -> list[float] | None:
        value: Any = self._store.get(key, COLLECTION)
        row = value.get("vector") if isinstance(value, dict) else None
        if isinstance(row, list) and len(row) == dim and all(isinstance(number, float) for number in row):
            return row
        return None


def _key(namespace: str, text: str) -> str:
    return f"{namespace}/{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"
