"""`--trace`: one question as one page, from the words that were searched with to the quotes that carry the answer.

page.py      the page: what it is made of, written atomically
story.py     the agent's trace, read into steps
sections.py  answer, ranks, rounds, cost, passages, settings
quotes.py    an answer with links to its passages, and passages with their quotes marked
ranks.py     the picture: every passage's way through the ranks
markup.py    elements; every text is escaped on its way in
trace.css    what this page has beyond the style of the evaluation report

Data in, HTML out: nothing here asks a store or a model. Colours, fonts and pictures are those of the evaluation report.
"""

from __future__ import annotations

from reasonir_agent.tracing.page import trace_page, write_trace
from reasonir_agent.tracing.story import Traced, ids_of

__all__ = ["Traced", "ids_of", "trace_page", "write_trace"]
