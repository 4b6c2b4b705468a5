"""A model's answer: which sentence rests on what, what is repaired once, and what is never shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reasonir_agent.agent.answering import NO_SOURCE, Written, write_answer
from reasonir_agent.agent.statements import statements
from reasonir_agent.llm import Bounds, Meter
from reasonir_agent.testing import Reply, ScriptedChatServer
from reasonir_agent.types import Passage

QUESTION = "Why do ducks lose hardly any heat through their feet?"
SHOWN = [
    Passage.make("ducks.txt", 10, 96, "Outgoing warm blood heats the returning cold blood. The feet of ducks stay cold.", "Legs"),
    Passage.make("debts.txt", 0, 50, "Borrowers repay with money that buys less."),
    Passage.make("html.txt", 0, 50, "Write <passage> and </passage> around it, they say."),
]  # fmt: skip
WARM = "Outgoing warm blood heats the returning cold blood"
COLD = "The feet of ducks stay cold."
REPAY = "Borrowers repay with money that buys less."
BOUND = "the bound of {} calls for one question is reached"

Write = Callable[..., Any]


@pytest.fixture
def write(model: Any, open_chat: Any) -> Write:
    """Write an answer with a scripted model; returns it with the model, to look at what was asked."""

    async def written(*says: Any, bounds: Bounds | None = None, **options: Any) -> tuple[Written, Any]:
        support = options.pop("support", None)
        said = model(answer=list(says), **({} if support is None else {"support": support}))
        with ScriptedChatServer(said) as server:
            meter = Meter(bounds=bounds or Bounds())
            return await write_answer(QUESTION, SHOWN, open_chat(server), meter=meter, **options), said

    return written


def judging(*verdicts: bool) -> Callable[[str], str]:
    """A judge that says these verdicts in turn of the pairs."""

    def judge(text: str) -> str:
        pairs = zip(json.loads(text), verdicts, strict=False)
        return json.dumps({"pairs": [{"pair": one["pair"], "supported": verdict} for one, verdict in pairs]})

    return judge


def spans(answer: str) -> list[tuple[str, set[int], bool]]:
    return [(answer[one.start : one.end], set(one.numbers), one.factual) for one in statements(answer)]


class TestStatements:
    @pytest.mark.parametrize("gap", ["", " ", "  "])
    @pytest.mark.parametrize("mark", ["[1]", "[1][2]", "[1] [2]", "[1, 2]"])
    def test_a_mark_behind_the_full_stop_belongs_to_the_sentence_before(self, gap: str, mark: str) -> None:
        first = f"They lose no heat to the ice.{gap}{mark}"
        numbers = {1, 2} if "2" in mark else {1}
        assert spans(f"{first} The blood is warmed in the legs.") == [
            (first, numbers, True),
            ("The blood is warmed in the legs.", set(), True),
        ]

    def test_a_mark_before_the_full_stop_and_one_at_the_beginning_of_a_line(self) -> None:
        assert spans("The feet of ducks are cold [2]. Yes.\n[1] The blood is warmed there.") == [
            ("The feet of ducks are cold [2].", {2}, True),
            ("Yes.", set(), False),
            ("[1] The blood is warmed there.", {1}, True),
        ]

    def test_marks_in_a_line_of_their_own_belong_to_what_stands_before_them(self) -> None:
        assert spans("The feet of ducks are cold.\n\n[1] [2]") == [
            ("The feet of ducks are cold.\n\n[1] [2]", {1, 2}, True)
        ]

    def test_items_of_a_list_stand_alone(self) -> None:
        assert spans("There are two reasons:\n- the blood is warmed there [1]\n2. the feet of ducks\n   are cold") == [
            ("There are two reasons:", set(), False),
            ("the blood is warmed there [1]", {1}, True),
            ("the feet of ducks\n   are cold", set(), True),
        ]

    def test_rows_of_a_table_stand_alone_and_its_head_states_nothing(self) -> None:
        table = "| part of the duck | how warm it is |\n|---|:-:|\n| the feet of ducks | cold [1] |\n| ducks | their own body: warm |"
        assert spans(table) == [
            ("part of the duck | how warm it is", set(), False),
            ("the feet of ducks | cold [1]", {1}, True),
            ("ducks | their own body: warm", set(), True),
        ]

    def test_headings_questions_and_scraps_state_nothing_but_a_heading_with_a_full_stop_does(self) -> None:
        said = [one[2] for one in spans("## Why the feet stay cold\n**The role of the blood**\nIs it really so? Yes.")]
        assert said == [False, False, False, False]
        assert spans("# Ducks are made of cheese.") == [("# Ducks are made of cheese.", set(), True)]

    def test_code_states_nothing_and_holds_no_marks(self) -> None:
        code = "```python\nx = v[1]  # this is a long comment.\n```"
        assert spans(f"It runs in linear time [2]:\n{code}\nThe call `v[3]. Next` is the slow one.") == [
            ("It runs in linear time [2]:", {2}, False),
            ("The call `v[3]. Next` is the slow one.", set(), True),
        ]
        assert spans("```\nDucks are made of cheese, they say [1].") == []  # a block that does not end

    def test_chinese_needs_no_spaces(self) -> None:
        assert spans("鸭子的脚在冰上几乎不散热。[1]动脉和静脉靠得很近。真的吗？是的。") == [
            ("鸭子的脚在冰上几乎不散热。[1]", {1}, True),
            ("动脉和静脉靠得很近。", set(), True),
            ("真的吗？", set(), False),
            ("是的。", set(), False),
        ]


class TestWhatIsVerified:
    async def test_a_sound_answer_is_asked_for_once_and_judged_once(self, write: Write, draft: Any) -> None:
        text = "Warm blood heats the cold blood. [1] So the feet of ducks are cold [1]."
        written, said = await write(draft(text, (1, WARM), (1, COLD)))
        assert (written.answer, written.abstained, written.problems, written.unjudged) == (text, False, [], "")
        assert [(one.quote, one.verified) for one in written.citations] == [(WARM, "supported"), (COLD, "supported")]
        assert [(one.start, one.end) for one in written.citations] == [(10, 60), (62, 90)]
        assert written.warnings() == []
        assert said.asked == {"answer": 1, "support": 1}

    async def test_two_quotes_of_one_number_are_judged_apart_and_one_is_enough(self, write: Write, draft: Any) -> None:
        text = "The feet of ducks are cold [1]."
        written, _ = await write(draft(text, (1, WARM), (1, COLD)), support=judging(False, True))
        assert (written.answer, written.problems) == (text, [])
        assert [one.verified for one in written.citations] == ["unsupported", "supported"]

    async def test_the_judge_sees_the_sentence_without_its_marks(self, write: Write, draft: Any) -> None:
        _, said = await write(draft("Warm blood heats the cold blood. [1] And so on.", (1, WARM)))
        assert json.loads(said.texts["support"][0]) == [
            {"pair": 1, "sentence": "Warm blood heats the cold blood.", "quote": WARM}
        ]

    @pytest.mark.parametrize("mark", ["【1】", "[^1]", "[passage 1]", "[Source 1]", "[1†L1-L9]", "［1］"])
    async def test_other_forms_of_marks_are_brought_into_ours(self, write: Write, draft: Any, mark: str) -> None:
        written, _ = await write(draft(f"The feet of ducks are cold {mark}.", (1, COLD)))
        assert (written.answer, written.problems) == ("The feet of ducks are cold [1].", [])

    async def test_a_range_is_its_numbers(self, write: Write, draft: Any) -> None:
        written, _ = await write(draft("The feet of ducks are cold [1-3].", (1, COLD)))
        assert written.answer == "The feet of ducks are cold [1]."
        assert written.problems == ["[2] is cited without a quote", "[3] is cited without a quote"]

    async def test_a_quote_that_the_answer_does_not_cite_is_no_citation(self, write: Write, draft: Any) -> None:
        written, _ = await write(draft("The feet of ducks are cold [1].", (1, COLD), (2, "Borrowers repay")))
        assert [one.n for one in written.citations] == [1]

    async def test_a_quote_as_it_was_shown_counts_although_the_delimiter_was_escaped(
        self, write: Write, draft: Any
    ) -> None:
        text = "One writes a tag around it [3]."
        first, said = await write(draft(text, (3, "Write <passage> and </passage> around it")))
        assert "Write <\\passage> and <\\/passage> around it" in said.texts["answer"][0]
        second, _ = await write(draft(text, (3, "Write <\\passage> and <\\/passage> around it")))
        for one in (first, second):
            assert [citation.quote for citation in one.citations] == ["Write <passage> and </passage> around it"]

    async def test_a_quote_from_the_heading_is_told_in_words(self, write: Write, draft: Any) -> None:
        written, said = await write(
            draft("It is in the legs of ducks [1].", (1, "Legs")), draft("The feet are cold [1].", (1, COLD))
        )
        assert said.texts["answer"][0].startswith('<passage n="1">\nLegs\nOutgoing')
        told = said.messages["answer"][1][-1]["content"]
        assert 'the quote "Legs" is of the heading of passage [1]; quote the text below it' in told
        assert [one.quote for one in written.citations] == [COLD]


class TestWhatFails:
    async def test_a_sentence_without_a_mark_is_told_and_then_marked(self, write: Write, draft: Any) -> None:
        text = "The feet of ducks are cold [1]. The moon is made of cheese."
        written, said = await write(draft(text, (1, COLD)))
        assert written.answer == f"{text} {NO_SOURCE}"
        told = said.messages["answer"][1][-1]["content"]
        assert 'the sentence "The moon is made of cheese." cites no passage that supports it' in told
        assert written.warnings() == [f"1 statements or citations could not be verified ({written.problems[0]})"]
        assert said.asked["answer"] == 2

    async def test_a_row_without_a_mark_keeps_its_table(self, write: Write, draft: Any) -> None:
        table = "| a | b |\n|---|---|\n| the feet of ducks | cold [1] |\n| the moon is made | of cheese |"
        written, _ = await write(draft(table, (1, COLD)))
        assert written.answer.endswith(f"| the moon is made | of cheese {NO_SOURCE} |")

    async def test_a_mark_whose_quote_supports_nothing_leaves_the_sentence(self, write: Write, draft: Any) -> None:
        text = "The feet of ducks are cold [1]. Money buys more every year. [2]"
        written, _ = await write(draft(text, (1, COLD), (2, "money that buys less")), support=judging(True, False))
        assert written.answer == f"The feet of ducks are cold [1]. Money buys more every year. {NO_SOURCE}"
        assert [(one.n, one.verified) for one in written.citations] == [(1, "supported"), (2, "unsupported")]
        assert written.problems[0] == 'the quote of [2] does not support the sentence "Money buys more every year. [2]"'

    async def test_what_is_repaired_is_taken(self, write: Write, draft: Any) -> None:
        bad = draft("The feet are cold [1], they say [99].", (1, COLD), (99, "x y z"))
        written, said = await write(bad, draft("The feet of ducks are cold [1].", (1, COLD)))
        assert (written.answer, written.problems) == ("The feet of ducks are cold [1].", [])
        assert (said.asked["answer"], said.asked["support"]) == (2, 2)

    @pytest.mark.parametrize(
        "worse",
        [
            ("The moon is made of cheese.", ()),
            ("The moon is made of cheese [1].", ((1, "words that nobody wrote"),)),
            ("Nothing was found.", None),
        ],
    )
    async def test_a_repair_that_gives_up_what_was_verified_is_not_taken(
        self, write: Write, draft: Any, worse: Any
    ) -> None:
        text, quotes = worse
        second = draft(text, *(quotes or ()), found=quotes is not None)
        bad = draft("The feet of ducks are cold [1]. Ducks are all made of cheese. They fly to the moon.", (1, COLD))
        written, _ = await write(bad, second)
        assert written.answer.startswith("The feet of ducks are cold [1].")
        assert [one.quote for one in written.citations] == [COLD]

    async def test_a_repair_that_abstains_is_better_than_an_answer_that_cites_nothing(
        self, write: Write, draft: Any
    ) -> None:
        written, _ = await write(draft("The moon is made of cheese."), draft("Moons are missing.", found=False))
        assert (written.answer, written.abstained, written.citations) == ("Moons are missing.", True, [])

    @pytest.mark.parametrize(
        ("text", "quotes", "support"),
        [
            ("The moon is made of cheese.", (), None),
            ("The moon is made of cheese.", ((1, COLD),), None),
            ("The moon is made of cheese [1].", ((1, "words that nobody wrote"),), None),
            ("The moon is made of cheese [1].", ((1, COLD),), judging(False)),
            ("```\nThe moon is made of cheese [1].\n```", ((1, COLD),), None),
            ("p is in [0, 1]", ((1, COLD),), None),
            ("  ", ((1, COLD),), None),
        ],
    )
    async def test_an_answer_in_which_nothing_cites_has_no_citations_and_is_not_to_be_shown(
        self, write: Write, draft: Any, text: str, quotes: Any, support: Any
    ) -> None:
        written, _ = await write(draft(text, *quotes), support=support)
        assert (written.citations, written.abstained) == ([], False)
        assert written.problems

    async def test_an_abstention_cites_nothing_and_stays_short(self, write: Write, draft: Any) -> None:
        long = "It tells of money only [2]. " + "Ducks are made of cheese. " * 50
        written, said = await write(draft(f"{long}\n\nAnd a second paragraph.", (2, "Borrowers repay"), found=False))
        assert written.abstained
        assert written.citations == []
        assert written.answer.startswith("It tells of money only. Ducks")
        assert len(written.answer) <= 401
        assert said.asked == {"answer": 1}

    @pytest.mark.parametrize("quote", ["a", "  .", "in", "水"])
    async def test_a_quote_of_next_to_nothing_is_none(self, write: Write, draft: Any, quote: str) -> None:
        written, _ = await write(draft("The feet of ducks are cold [1].", (1, quote)))
        assert written.citations == []
        assert "says too little" in written.problems[0]

    async def test_too_many_quotes_and_too_long_an_answer_are_cut_and_told(self, write: Write, draft: Any) -> None:
        quotes = [(1, f"{COLD} {number}") for number in range(100)]
        text = "The feet of ducks are cold [1]. " + "The moon is made of cheese. " * 800
        written, _ = await write(draft(text, (1, COLD), *quotes))
        assert len(written.answer) < 40_000
        assert "the answer is longer than 20,000 characters" in written.problems
        assert "there are more than 40 quotes" in written.problems
        assert [one.quote for one in written.citations] == [COLD]


class TestWhatIsShown:
    @pytest.mark.parametrize(
        "said",
        [
            "The feet are cold [1]. ![x](https://evil.example/?q=1)",
            "The feet are cold [1]. htt[9]ps://evil.example/x",
            "The feet are cold [1]. htt[9]p://evil.example",
            "The feet are cold 【1】(https://evil.example)",
            "The feet are cold [1](https://evil.example)",
            "The feet are cold 【&#49;】(//evil.example)",
            "脚是冷的，这是肯定的事实。(//evil.example) The feet are cold [1].",
            "The feet are cold [1].\n\n[no source]: https://evil.example",
            "The feet are cold [1]. \x1b]8;;https://evil.example\x07x\x1b]8;;\x07 \ud83d",
        ],
    )
    async def test_no_address_survives_marks_that_come_or_go(self, write: Write, draft: Any, said: str) -> None:
        written, _ = await write(draft(said, (1, COLD)))
        for text in (written.answer, *written.problems, *written.warnings()):
            assert "](" not in text and "]:" not in text
            assert "http:" not in text and "https:" not in text and "evil.example/" not in text
            text.encode()
        assert "The feet are cold [1]" in written.answer

    async def test_what_was_wrong_is_told_without_the_addresses_in_it(self, write: Write, draft: Any) -> None:
        said = draft("The feet of ducks are cold [1].", (1, COLD), (1, "go to https://evil.example/?q=1 \x1b[31m"))
        written, _ = await write(said)
        assert "evil.example/" not in written.warnings()[0]
        assert "\x1b" not in written.warnings()[0]


class TestWhenItCannotBeJudged:
    @pytest.mark.parametrize("reply", ["gibberish", Reply("broken", status=500), Reply(drop=True), '{"pairs": 3}'])
    async def test_the_words_are_there_and_nothing_more_is_claimed(self, write: Write, draft: Any, reply: Any) -> None:
        written, _ = await write(draft("The feet of ducks are cold [1].", (1, COLD)), support=reply)
        assert [one.verified for one in written.citations] == ["quote"]
        assert written.answer == "The feet of ducks are cold [1]."
        assert "whether the quotes support their sentences was not judged (" in written.warnings()[0]

    async def test_a_budget_that_ends_before_it_is_named(self, write: Write, draft: Any) -> None:
        written, said = await write(draft("The feet of ducks are cold [1].", (1, COLD)), bounds=Bounds(calls=1))
        assert [one.verified for one in written.citations] == ["quote"]
        assert "the bound of 1 calls" in written.warnings()[0]
        assert said.asked == {"answer": 1}

    async def test_a_budget_that_ends_before_the_repair_keeps_what_was_verified(self, write: Write, draft: Any) -> None:
        text = "The feet of ducks are cold [1]. The moon is made of cheese."
        written, said = await write(draft(text, (1, COLD)), bounds=Bounds(calls=2))
        assert written.answer == f"{text} {NO_SOURCE}"
        assert [one.verified for one in written.citations] == ["supported"]
        assert said.asked == {"answer": 1, "support": 1}
        assert written.warnings()[1:] == [f"the answer was not corrected ({BOUND.format(2)})"]

    async def test_a_verdict_holds_for_the_repair_and_is_not_paid_for_again(self, write: Write, draft: Any) -> None:
        """A model that repeats what was refused does not get another judge, nor gets away with it where none is left."""
        again = draft("The feet of ducks are cold [1]. Borrowers pay with gold [2].", (1, COLD), (2, REPAY))
        for bound in (3, 9):
            written, said = await write(again, support=judging(True, False), bounds=Bounds(calls=bound))
            assert said.asked == {"answer": 2, "support": 1}
            assert written.answer == f"The feet of ducks are cold [1]. Borrowers pay with gold. {NO_SOURCE}"
            assert [one.verified for one in written.citations] == ["supported", "unsupported"]

    async def test_only_what_is_new_in_a_repair_is_judged(self, write: Write, draft: Any) -> None:
        first = draft("The feet of ducks are cold [1]. Borrowers pay with gold [2].", (1, COLD), (2, REPAY))
        second = draft("The feet of ducks are cold [1]. Borrowers repay with less [2].", (1, COLD), (2, REPAY))
        judged: list[list[str]] = []

        def judge(text: str) -> str:
            judged.append([one["sentence"] for one in json.loads(text)])
            return judging(*("gold" not in one for one in judged[-1]))(text)

        written, _ = await write(first, second, support=judge)
        assert judged == [["The feet of ducks are cold.", "Borrowers pay with gold."], ["Borrowers repay with less."]]
        assert written.answer == "The feet of ducks are cold [1]. Borrowers repay with less [2]."
        assert [one.verified for one in written.citations] == ["supported", "supported"]
        assert written.warnings() == []

    async def test_a_repair_that_nobody_judges_claims_no_more_than_its_words(self, write: Write, draft: Any) -> None:
        first = draft("The feet of ducks are cold [1]. Borrowers pay with gold [2].", (1, COLD), (2, REPAY))
        second = draft("The feet of ducks are cold [1]. Borrowers repay with less [2].", (1, COLD), (2, REPAY))
        written, said = await write(first, second, support=judging(True, False), bounds=Bounds(calls=3))
        assert said.asked == {"answer": 2, "support": 1}
        assert written.answer.endswith("Borrowers repay with less [2].")
        assert [one.verified for one in written.citations] == ["supported", "quote"]
        assert written.warnings() == [f"whether the quotes support their sentences was not judged ({BOUND.format(3)})"]

    async def test_what_was_judged_is_not_given_up_for_what_cannot_be(self, write: Write, draft: Any) -> None:
        first = draft("The feet of ducks are cold [1]. The moon is made of cheese.", (1, COLD))
        second = draft("Ducks have cold feet [1]. Borrowers repay with less [2].", (1, COLD), (2, REPAY))
        written, _ = await write(first, second, bounds=Bounds(calls=3))
        assert written.answer == f"The feet of ducks are cold [1]. The moon is made of cheese. {NO_SOURCE}"
        assert [one.verified for one in written.citations] == ["supported"]
        assert written.warnings()[1:] == [f"the answer was not corrected ({BOUND.format(3)})"]

    async def test_pairs_that_the_judge_leaves_out_are_told(self, write: Write, draft: Any) -> None:
        text = "The feet of ducks are cold [1]. Warm blood heats cold blood [1]."
        written, _ = await write(draft(text, (1, COLD)), support=judging(True))
        assert [one.verified for one in written.citations] == ["quote"], "its number stands behind both sentences"
        assert written.warnings() == [
            "whether the quotes support their sentences was not judged (the judge left out 1 of 2)"
        ]

    async def test_who_wants_no_judge_gets_none(self, write: Write, draft: Any) -> None:
        written, said = await write(draft("The feet of ducks are cold [1].", (1, COLD)), check_support=False)
        assert [one.verified for one in written.citations] == ["quote"]
        assert written.warnings() == []
        assert said.asked == {"answer": 1}


async def test_the_draft_is_shown_without_links_as_it_comes(model: Any, open_chat: Any, draft: Any) -> None:
    pieces: list[str | None] = []
    said = draft("The feet are cold [1], see https://evil.example/?q=1 and ![x](http://evil.example).", (1, COLD))
    with ScriptedChatServer(model(answer=said)) as server:
        await write_answer(QUESTION, SHOWN, open_chat(server), meter=Meter(), on_text=pieces.append)
    assert len(pieces) > 5
    whole = "".join(piece or "" for piece in pieces)
    assert whole.startswith("The feet are cold [1], see [link removed] and ")
    assert "evil" not in whole and "](" not in whole
