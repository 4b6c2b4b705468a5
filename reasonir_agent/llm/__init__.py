"""Chat models by "provider:model": one place for opening them, calling them, paying for them, and reading what they say.

    opening.py    a model by its name, or one that the caller has
    model.py      calls: concurrency, retries, formats, streams
    meter.py      what a question cost and what it may cost: reserved before a call is sent, settled after
    replies.py    the text without the model's thinking, JSON checked against a shape
    failures.py   which failure is which, and what may be tried again

Replies are untrusted text. A failure is ours: `ChatUnavailable` when no call can succeed (no connection, key refused,
unknown model), `BudgetSpent` when a bound is reached, `UnreadableReply` when a reply says nothing we can use,
`ChatError` otherwise.
"""

from reasonir_agent.llm.meter import Bounds, Meter, Price
from reasonir_agent.llm.model import ChatModel, Talks
from reasonir_agent.llm.opening import as_chat_model, open_chat_model
from reasonir_agent.llm.replies import Reply, read_json, split_thinking

__all__ = [
    "Bounds",
    "ChatModel",
    "Meter",
    "Price",
    "Reply",
    "Talks",
    "as_chat_model",
    "open_chat_model",
    "read_json",
    "split_thinking",
]
