"""Hard negatives from a corpus: documents near to a query that are no positive.

triplets.py   a query, a positive, its negatives: what is written
pairs.py      negatives for every (query, positive) pair of a judged set, by BM25 or by an encoder
bm25.py       ranks by BM25 over a whole corpus
encoder.py    by an encoder, through sentence-transformers' miner
grading.py    how far each document helps, 0 to 5, by a chat model

The first BM25 ranks often hold unlabelled positives, so mining by words starts at rank 20 (ReasonIR, section on data).
By an encoder, the positive's own similarity is the bound instead (positive-aware threshold, NV-Retriever).
"""

from reasonir_trainer.mining.pairs import FIRST_RANK, mine
from reasonir_trainer.mining.triplets import Triplet

__all__ = ["FIRST_RANK", "Triplet", "mine"]
