"""ReasonIR-Rerank: a chat model scores each passage against the original question, 0 to 5; the score is interpolated
with the retriever's cosine, since whole numbers tie massively.

    prompt.py         what the model is asked
    reading.py        strict reading of its reply
    interpolation.py  the final score, with no passage lost
    reranker.py       the calls
"""

from reasonir_agent.reranking.interpolation import Reranked, interpolate
from reasonir_agent.reranking.reading import read_score
from reasonir_agent.reranking.reranker import ChatReranker

__all__ = ["ChatReranker", "Reranked", "interpolate", "read_score"]
