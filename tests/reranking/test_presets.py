"""Named ways to rerank."""

from __future__ import annotations

import pytest

from reasonir_agent.encoder.template import BRIGHT_INSTRUCTIONS
from reasonir_agent.errors import InputError
from reasonir_agent.llm import open_chat_model
from reasonir_agent.reranking import PRESETS, TASK_CRITERIA, ChatReranker, criteria_named, rerank_preset
from reasonir_agent.reranking.prompt import DEFAULT_CRITERIA
from reasonir_agent.testing import ScriptedChatServer
from reasonir_agent.types import Passage


def test_qwen_is_the_papers() -> None:
    qwen = rerank_preset("qwen")
    assert qwen.model == "openai:Qwen/Qwen2.5-32B-Instruct"
    assert (qwen.temperature, qwen.top_p, qwen.depth, qwen.weight) == (0.6, 0.9, 100, 0.5)


def test_the_default_names_no_model() -> None:
    usual = rerank_preset("default")
    assert usual.model is None
    assert (usual.temperature, usual.top_p, usual.weight) == (0.0, None, 0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_code_pony_and_mathematics_have_criteria_of_their_own(name: str) -> None:
    preset = rerank_preset(name)
    own = {task: preset.criteria_for(task) for task in BRIGHT_INSTRUCTIONS}
    assert {task for task, criteria in own.items() if criteria != DEFAULT_CRITERIA} == {
        "leetcode",
        "pony",
        "aops",
        "theoremqa_questions",
        "theoremqa_theorems",
    }
    assert own["aops"] == own["theoremqa_questions"] != own["theoremqa_theorems"]
    assert preset.criteria_for(None) == preset.criteria_for("news") == DEFAULT_CRITERIA


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(InputError, match="must be one of default, qwen; got 'gwen'"):
        rerank_preset("gwen")


@pytest.mark.parametrize(
    ("given", "criteria"),
    [
        ("", DEFAULT_CRITERIA),
        ("  ", DEFAULT_CRITERIA),
        ("pony", TASK_CRITERIA["pony"]),
        (" theoremqa_theorems\n", TASK_CRITERIA["theoremqa_theorems"]),
        ("Only birds {count}; 100%.", "Only birds {count}; 100%."),
    ],
)
async def test_criteria_are_named_or_one_s_own(given: str, criteria: str) -> None:
    assert criteria_named(given) == criteria
    with ScriptedChatServer(["Score: 4"]) as server:
        chat = open_chat_model("openai:any", base_url=server.base_url)
        await ChatReranker(chat, criteria_named(given)).score("q", [Passage.make("s", 0, 1, "a")])
    system = server.requests[0]["messages"][0]["content"]
    assert system.split("\n")[1] == criteria
