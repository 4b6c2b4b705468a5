"""Calls by OpenAI's Batch API: half the price, an answer within a day.

requests.py   a call as a line of a batch, and a line of its output as a reply
rounds.py     which batches there are, on disk
api.py        the server: upload, create, poll, download
caller.py     a caller that lets calls wait until a batch is worth sending

A batch is written to disk before it is created, and carries a name of ours: a run that is killed at any moment finds the
batch that it had created, waits for it and pays nothing twice.
"""

from reasonir_trainer.synthesis.batch.api import BatchApi
from reasonir_trainer.synthesis.batch.caller import BatchCaller, BatchLimits
from reasonir_trainer.synthesis.batch.rounds import Rounds

__all__ = ["BatchApi", "BatchCaller", "BatchLimits", "Rounds"]
