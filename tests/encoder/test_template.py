"""What stands before a text."""

from __future__ import annotations

import pytest

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.encoder.template import BRIGHT_INSTRUCTIONS, REASONIR_QUERY, prefix, task_instruction
from reasonir_agent.errors import InputError

POST = "Given a {} post, retrieve relevant passages that help answer the post"
QUESTION = "Given a {} question, retrieve relevant passages that help answer the question"
SPLITS = {
    "biology": POST.format("biology"),
    "earth_science": POST.format("earth_science"),
    "psychology": POST.format("psychology"),
    "robotics": POST.format("robotics"),
    "stackoverflow": POST.format("stackoverflow"),
    "sustainable_living": POST.format("sustainable_living"),
    "economics": QUESTION.format("economics"),
    "pony": QUESTION.format("pony"),
    "leetcode": "Given a coding problem, retrieve relevant examples that help answer the problem",
    "aops": "Given a Math problem, retrieve relevant examples that help answer the problem",
    "theoremqa_questions": "Given a Math problem, retrieve relevant examples that help answer the problem",
    "theoremqa_theorems": "Given a Math problem, retrieve relevant theorems that help answer the problem",
}


def test_there_are_the_twelve_splits_of_bright():
    assert set(BRIGHT_INSTRUCTIONS) == set(SPLITS)
    assert len(SPLITS) == 12


@pytest.mark.parametrize("task", SPLITS)
def test_each_split_has_its_instruction(open_golden, task):
    assert task_instruction(task) == SPLITS[task]
    assert open_golden(task=task).query_prefix == f"<|user|>\n{SPLITS[task]}\n<|embed|>\n"
    assert open_golden(task=task).document_prefix == "<|embed|>\n"


def test_the_defaults_of_a_reasonir_checkpoint(open_golden):
    encoder = open_golden()
    assert encoder.query_prefix == (
        "<|user|>\nGiven a question, retrieve relevant passages that help answer the question\n<|embed|>\n"
    )
    assert encoder.document_prefix == "<|embed|>\n"


def test_an_empty_instruction_means_no_template_at_all(open_golden):
    encoder = open_golden(query_instruction="", document_instruction="")
    assert (encoder.query_prefix, encoder.document_prefix) == ("", "")


def test_an_instruction_is_filled_in_and_a_whole_prefix_is_used_as_it_is(open_golden):
    encoder = open_golden(query_instruction="Find proofs", document_instruction="Proof")
    assert encoder.query_prefix == "<|user|>\nFind proofs\n<|embed|>\n"
    assert encoder.document_prefix == "<|user|>\nProof\n<|embed|>\n"
    whole = "<|user|>\nFind proofs\n<|embed|>\n"
    assert open_golden(query_instruction=whole).query_prefix == whole
    assert open_golden(query_instruction="<|embed|>\n").query_prefix == "<|embed|>\n"


def test_an_instruction_is_never_stripped_or_formatted(open_golden):
    assert (
        open_golden(query_instruction=" {x} {instruction} ").query_prefix
        == "<|user|>\n {x} {instruction} \n<|embed|>\n"
    )


@pytest.mark.parametrize(
    ("template", "given", "wanted"),
    [
        (REASONIR_QUERY, None, "<|user|>\ndefault\n<|embed|>\n"),
        (REASONIR_QUERY, "", ""),
        (REASONIR_QUERY, "mine", "<|user|>\nmine\n<|embed|>\n"),
        ("query: ", None, "query: "),
        ("query: ", "", ""),
        ("query: ", "mine: ", "mine: "),
        ("", None, ""),
        ("", "mine: ", "mine: "),
        ("Instruct: {instruction}\nQuery:", "mine", "Instruct: mine\nQuery:"),
    ],
)
def test_prefix(template, given, wanted):
    assert prefix(template, "default", given) == wanted


@pytest.mark.parametrize("task", ["Biology", "bio", "", "earth science", "theoremqa"])
def test_an_unknown_task_is_refused_with_the_list(golden_folder, task):
    with pytest.raises(InputError, match=rf"task must be one of aops, biology, .*; got '{task}'"):
        ReasonIREncoder(golden_folder, task=task)


@pytest.mark.parametrize("instruction", ["mine", ""])
def test_task_and_instruction_together_are_refused(golden_folder, instruction):
    with pytest.raises(InputError, match="give task or query_instruction, not both"):
        ReasonIREncoder(golden_folder, task="biology", query_instruction=instruction)


def test_the_text_is_never_stripped(open_golden):
    encoder = open_golden()
    one, other = encoder.encode_queries(["why", "  why  "])
    assert abs(one - other).max() > 1e-3
