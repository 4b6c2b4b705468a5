"""What a node's score says about its cosine. A vector store of LlamaIndex may report anything as "similarity".

The interpolation wants the raw cosine of query and passage. In this order: the cosine that `ReasonIRRetriever` left in
the metadata; the score of a store whose formula is known; query and passages encoded again; the ranks. Scores of two
kinds are never mixed in one list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, cast, get_args

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from llama_index.embeddings.reasonir import ReasonIREmbedding
from reasonir_agent.encoder.pooling import normalised
from reasonir_agent.errors import InputError
from reasonir_agent.reranking import cosine_of_distance, cosine_of_exponential, retriever_scores
from reasonir_agent.reranking.retriever_scores import Space
from reasonir_agent.types import Hit

StoreScores = Literal["auto", "cosine", "exp_distance", "exp_distance_l2", "encode", "ranks"]

RETRIEVER_KEY: Final = "reasonir_retriever_score"
LEXICAL_KEY: Final = "reasonir_lexical_score"
RERANKER_KEY: Final = "reasonir_reranker_score"

Rule = Callable[[float], float]
_ROUNDING: Final = 1e-3


def text_of(node: BaseNode) -> str:
    """The text of a node as it was embedded, metadata lines included where they are."""
    return node.get_content(metadata_mode=MetadataMode.EMBED)


def rule_of(store: object) -> Rule | None:
    """What turns a store's similarity into the cosine; None for a store that is not known.

    `ChromaVectorStore` gives exp(-distance), in the collection's space; `SimpleVectorStore` the cosine itself.
    """
    name = store.class_name() if isinstance(store, BasePydanticVectorStore) else None
    if name == "SimpleVectorStore":
        return _cosine
    if name == "ChromaVectorStore":
        space = _chroma_space(cast(BasePydanticVectorStore, store).client)
        return _exponential_l2 if space == "l2" else cosine_of_exponential
    return None


def cosines_of(
    nodes: Sequence[NodeWithScore],
    query: QueryBundle,
    *,
    kind: StoreScores,
    store: BasePydanticVectorStore | None,
    embed_model: BaseEmbedding | None,
) -> list[float]:
    """A retriever score in [-1, 1] for each node, by the rules above.

    Args:
        nodes: best first.
        query: what was searched for; its `embedding_strs` are encoded, so a rewrite counts as what it is.
        kind: what the scores of the nodes are; "auto" finds out.
        store: where they come from, for "auto".
        embed_model: encodes again; None leaves the ranks.

    Raises:
        InputError: the scores cannot be what they are said to be, or there is nothing to encode with.
    """
    texts = [text_of(node.node) for node in nodes]
    known = _known(nodes, kind, store)
    if known is None and kind in ("auto", "encode"):
        if embed_model is not None:
            known = encoded_cosines(embed_model, query.embedding_strs, texts)
        elif kind == "encode":
            raise InputError("store_scores='encode' needs an embed_model to encode with")
    return retriever_scores(query.query_str, texts, known=known or ())


def encoded_cosines(embed_model: BaseEmbedding, queries: Sequence[str], texts: Sequence[str]) -> list[float]:
    """Cosines of texts with the mean of some queries, encoded now."""
    if isinstance(embed_model, ReasonIREmbedding):
        encoder = embed_model.encoder
        asked, rows = encoder.encode_queries(list(queries)), encoder.encode_documents(list(texts))
    else:
        asked = np.asarray([embed_model.get_query_embedding(query) for query in queries], dtype=np.float32)
        rows = np.asarray(embed_model.get_text_embedding_batch(list(texts)), dtype=np.float32)
    found: list[float] = (normalised(rows) @ normalised(asked).mean(axis=0)).tolist()
    return found


def scored(node: NodeWithScore, score: float | None, hit: Hit) -> NodeWithScore:
    """A copy of a node with a score, and its parts in metadata that neither embedding nor language model is shown."""
    parts = {RETRIEVER_KEY: hit.dense_score, LEXICAL_KEY: hit.lexical_score, RERANKER_KEY: hit.reranker_score}
    own = node.node
    kept = {key: value for key, value in own.metadata.items() if key not in parts}
    new = {key: float(value) for key, value in parts.items() if value is not None}
    if LEXICAL_KEY in own.metadata:
        new.setdefault(LEXICAL_KEY, own.metadata[LEXICAL_KEY])
    copied = own.model_copy(
        update={
            "metadata": kept | new,
            "excluded_llm_metadata_keys": [*dict.fromkeys([*own.excluded_llm_metadata_keys, *parts])],
            "excluded_embed_metadata_keys": [*dict.fromkeys([*own.excluded_embed_metadata_keys, *parts])],
        }
    )
    return NodeWithScore(node=copied, score=score)


def check_kind(kind: object) -> None:
    """Refuse what is no kind of scores.

    Raises:
        InputError: it names those there are.
    """
    if kind not in get_args(StoreScores):
        raise InputError(f"store_scores must be one of {', '.join(get_args(StoreScores))}; got {kind!r}")


def _known(
    nodes: Sequence[NodeWithScore], kind: StoreScores, store: BasePydanticVectorStore | None
) -> list[float] | None:
    if kind == "auto":
        left = [node.node.metadata.get(RETRIEVER_KEY) for node in nodes]
        if all(isinstance(one, float) for one in left):
            return cast("list[float]", left)
    rules: dict[str, Rule | None] = {
        "auto": rule_of(store),
        "cosine": _cosine,
        "exp_distance": cosine_of_exponential,
        "exp_distance_l2": _exponential_l2,
    }
    rule = rules.get(kind)
    scores = [node.score for node in nodes if node.score is not None]
    if rule is None or len(scores) < len(nodes):
        return None
    cosines = [rule(score) for score in scores]
    wrong = next((one for one, cosine in zip(scores, cosines, strict=True) if not abs(cosine) <= 1 + _ROUNDING), None)
    if wrong is not None:
        raise InputError(
            f"a node has the score {wrong:g}, which is no cosine and no exp(-distance) of unit vectors; say what the "
            "scores are by store_scores= ('encode' works with every store)"
        )
    return cosines


def _cosine(score: float) -> float:
    return score


def _exponential_l2(score: float) -> float:
    return -1.0 if score <= 0 else cosine_of_distance(-math.log(score), "l2")


def _chroma_space(collection: Any) -> Space:
    settings = collection.configuration_json
    found = settings.get("hnsw") or settings.get("spann") or {}
    return cast("Space", found.get("space", "l2"))
