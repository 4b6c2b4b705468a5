"""What an abstention says: what was missing, and what was looked for.

Who gets no answer can tell from it whether the corpus lacks the answer or the search went astray. What was looked for are
the missing facts that a grading named, else the beginning of what was searched with. A model wrote both; neither is
checked, so none of it cites anything or keeps an address.
"""

from __future__ import annotations

from typing import Final

from reasonir_agent.agent.citations import drop_marks, marks
from reasonir_agent.agent.harmless import harmless
from reasonir_agent.agent.state import AgentState

NOT_FOUND: Final = "The corpus does not seem to hold an answer to this question."

_LONGEST: Final = 300
"""Characters of a rewritten query that are shown."""

_STOPS: Final = tuple(".!?…。！？")


def silence(state: AgentState, said: str = "") -> str:
    """The text of an abstention.

    Args:
        state: holds the rewrites and what the gradings found missing.
        said: the model's sentence about what the passages lack; without one, ours.
    """
    facts = [one for line in state["trace"] for one in line.get("missing", ())]
    looked = "; ".join(dict.fromkeys(facts)) or _shortened(next(iter(state["rewrites"]), state["question"]))
    said = said.rstrip() or NOT_FOUND
    text = f"{said}{'' if said.endswith(_STOPS) else '.'} Looked for: {looked}"
    return harmless(drop_marks(text, marks(text)), state["question"])


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
