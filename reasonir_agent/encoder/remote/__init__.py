"""An encoder behind an OpenAI-compatible embeddings server (vLLM, TEI, Infinity, `reasonir serve`). Needs no torch.

Two kinds of servers. Ours announces itself (announced.py): it has a model for each road, puts prefixes on itself, reads
long queries in windows, and its vectors are its encoder's own, under its encoder's fingerprint. Every other server gets
whole strings: prefixes and windows are made here (texts.py), and since such servers pool the prefix too, their vectors
carry a fingerprint of their own and never mix with local ones.

    backend.py     one model of one server, queries and documents
    sender.py      batches, several requests at once
    server.py      one request: retries, refusals in words, never a key in a message
    answers.py     strict reading of what came
    announced.py   what `reasonir serve` says about itself
    texts.py       long texts without a tokenizer
"""

from reasonir_agent.encoder.remote.backend import RemoteBackend

__all__ = ["RemoteBackend"]
