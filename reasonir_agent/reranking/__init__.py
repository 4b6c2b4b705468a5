"""ReasonIR-Rerank: a chat model scores each passage against the original question, 0 to 5; the score is interpolated
with the retriever's cosine, since whole numbers tie massively.

    prompt.py         what the model is asked
    reading.py        strict reading of its reply
    expecting.py      the expected score, from the probabilities of the digits
    interpolation.py  the final score, with no passage lost
    reranker.py       the calls
    judging.py        hits in, hits in their final order out
    retriever_scores.py  the retriever's cosine, where a framework hides it
    presets.py        named ways to rerank, criteria by task
"""

from reasonir_agent.reranking.interpolation import Reranked, interpolate
from reasonir_agent.reranking.judging import Judged, judge
from reasonir_agent.reranking.presets import PRESETS, TASK_CRITERIA, RerankPreset, criteria_named, rerank_preset
from reasonir_agent.reranking.reading import read_score
from reasonir_agent.reranking.reranker import ChatReranker
from reasonir_agent.reranking.retriever_scores import cosine_of_distance, cosine_of_exponential, retriever_scores

__all__ = [
    "PRESETS",
    "TASK_CRITERIA",
    "ChatReranker",
    "Judged",
    "RerankPreset",
    "Reranked",
    "cosine_of_distance",
    "cosine_of_exponential",
    "criteria_named",
    "interpolate",
    "judge",
    "read_score",
    "rerank_preset",
    "retriever_scores",
]
