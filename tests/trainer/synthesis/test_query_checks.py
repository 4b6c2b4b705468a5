"""Every rule on a hand-written pass and fail, and properties that hold for all texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonir_trainer.synthesis import mentions
from reasonir_trainer.synthesis.query_checks import (
    LONGEST_RUN,
    asks_nothing,
    content_words,
    copies_run,
    looked_up,
    mentions_document,
    repeats_heading,
    too_short,
)

SEED = (
    "Ducks keep their feet from freezing by a counter-current exchange of heat: warm blood on its way down passes its "
    "heat to the cold blood that returns, so little of it is lost to the ice."
)
HARD = (
    "Our district heating sends hot water to a hut on a lake and takes the used water back. The hut's floor may stay "
    "cold. How should the two pipes be laid so that the boiler burns least, and why does it work?"
)
LOOKED_UP = "How do ducks keep their feet from freezing by exchange of heat between warm and cold blood?"

WORDS = st.lists(st.sampled_from("ducks feet heat pump ice lake warm blood why how glass river".split()), max_size=30)


MENTIONING = [
    "According to the passage, why do ducks float?",
    "What does the author argue about heat?",
    "How does the method described above work?",
    "What is the main idea of this article?",
    "Why is the given excerpt right?",
    "Laut dem Text, warum schwimmen Enten?",
    "Warum ist das, wie oben beschrieben, so?",
    "Gemäß diesem Abschnitt, warum?",
    "Selon le document, pourquoi les canards flottent-ils ?",
    "Pourquoi, comme l'auteur le dit, est-ce ainsi ?",
    "Según el texto, ¿por qué flotan los patos?",
    "¿Qué dice el autor sobre el hielo?",
    "根据文章，为什么鸭子不怕冷？",
    "作者认为什么最重要？",
    "文中提到的方法是什么？",
    "上述方法为什么有效？",
    "为什么以上内容成立？",
    "Why does this reading suggest heat?",
    "As discussed earlier, why is it cold?",
    "As noted previously, why is it cold?",
    "Why is the aforementioned pipe cold?",
    "Why does the chapter mention pipes?",
    "Zuvor beschrieben: warum?",
    "Der Auszug beschreibt Enten. Warum?",
    "Comme mentionné plus haut, pourquoi ?",
    "Selon cet extrait, pourquoi ?",
    "¿Por qué, como lo mencionado anteriormente?",
    "Según este fragmento, ¿por qué?",
    "这段资料说明了什么？",
]
STANDING_ALONE = [
    HARD,
    "The passage of time makes wood brittle; why?",
    "Why is the above-ground tank warmer than the above ground pipe?",
    "Why did the passage through the canal take longer than the cape?",
    "When I store a document in a database, why is it slow?",
    "Wie lange hält ein Dokumentenschrank?",
    "Pourquoi la texture du pain change-t-elle ?",
    "¿Por qué se endurece el pan?",
    "为什么用英文中的词？",
]


@pytest.mark.parametrize("query", MENTIONING)
def test_a_query_that_speaks_of_the_document_is_refused(query: str) -> None:
    found = mentions_document(query)
    assert not found.passed
    assert found.reason == "query mentions the document"
    assert "it says" in found.detail


@pytest.mark.parametrize("query", STANDING_ALONE)
def test_a_query_that_stands_alone_passes(query: str) -> None:
    assert mentions_document(query).passed, mentions_document(query).detail


def test_in_a_long_query_only_clear_mentions_count() -> None:
    own = "I tried three valves. With the above in mind, and as described above, what is wrong?"
    assert not mentions_document(own).passed
    assert mentions_document(own, clearly=True).passed
    assert not mentions_document("According to the passage, what is wrong?", clearly=True).passed


def test_what_follows_a_word_is_seen_wherever_the_text_would_be_cut() -> None:
    innocent = "The passage of time makes wood brittle; why?"
    query = f"{innocent} {innocent} ¿Por qué se endurece el pan? {innocent}"
    assert mentions_document(query).passed, mentions_document(query).detail


PHRASES = [*MENTIONING, *STANDING_ALONE, "and so on " * 20, "İ"]


@given(st.lists(st.sampled_from(PHRASES), max_size=6), st.booleans())
def test_looking_around_suspicious_words_finds_what_looking_everywhere_finds(parts: list[str], clearly: bool) -> None:
    query = " ".join(parts)
    everywhere = (mentions._CLEAR_MENTIONS if clearly else mentions._MENTIONS).search(query)
    assert mentions_document(query, clearly=clearly).passed == (everywhere is None)


def test_a_query_in_the_seeds_words_is_a_look_up() -> None:
    found = looked_up(LOOKED_UP, SEED, most_overlap=0.5)
    assert not found.passed
    assert found.value == 0.9  # duck, keep, feet, freez, exchang, heat, warm, cold, blood; not "between"
    assert looked_up(HARD, SEED, most_overlap=0.5).passed


def test_the_share_of_content_words_by_hand() -> None:
    assert content_words("How do the ducks keep their 2 feet?") == {"duck", "keep", "feet"}
    assert looked_up("Ducks keep glass feet?", SEED, most_overlap=0.5).value == 0.75  # all but "glass"
    assert (
        looked_up("Enten und der Frost", "Der Frost und das Eis", most_overlap=0.5).value == 0.5
    )  # frost of enten, frost


@given(WORDS, WORDS)
def test_overlap_grows_with_the_seed_and_is_whole_for_the_query_itself(query: list[str], more: list[str]) -> None:
    text = " ".join(["pump", *query])
    shares = [
        looked_up(text, seed, most_overlap=0.5).value for seed in ("", " ".join(more), text + " ".join(["", *more]))
    ]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1


def test_eight_copied_words_are_refused_and_seven_are_not() -> None:
    copied = "keep their feet from freezing by a counter-current"
    assert copies_run(f"Why {copied}?", SEED).value == 8 == LONGEST_RUN
    assert not copies_run(f"Why {copied}?", SEED).passed
    assert copies_run(f"Why {copied.removesuffix(' counter-current')}?", SEED).passed
    assert copies_run(HARD, SEED).passed


@given(WORDS)
def test_a_copied_run_is_seen_wherever_it_stands(around: list[str]) -> None:
    run = " ".join(SEED.split()[3:12])
    assert not copies_run(f"{' '.join(around)} {run} {' '.join(around)}", SEED).passed


def test_length_is_counted_in_words_or_characters() -> None:
    assert not too_short("Why is ice slippery?", least=12).passed
    assert too_short(HARD, least=12).passed
    assert too_short("为什么鸭子站在冰上不怕冷？", least=12).passed
    assert "has 4 words, at least 12" in too_short("Why is ice slippery?", least=12).detail


@given(WORDS, st.integers(1, 40))
def test_a_query_passes_exactly_from_the_limit_on(query: list[str], least: int) -> None:
    assert too_short(" ".join(query), least=least).passed == (len(query) >= least)


@pytest.mark.parametrize(
    "query",
    [
        "Why the pump slows",
        "The pump slows. Explain it.",
        "It drifts. How would I tell?",
        "Bitte erkläre das.",
        "请解释",
        "¿Por qué?",
    ],
)
def test_questions_and_tasks_pass(query: str) -> None:
    assert asks_nothing(query).passed


@pytest.mark.parametrize(
    "query", ["The pump slows when it rains, which is what we saw.", "Der Motor läuft.", "鸭子不怕冷。", ""]
)
def test_what_asks_nothing_is_refused(query: str) -> None:
    assert not asks_nothing(query).passed


@given(st.text(max_size=60))
def test_a_question_mark_is_enough(text: str) -> None:
    assert asks_nothing(text + "?").passed


def test_a_heading_word_by_word_is_refused() -> None:
    heading = "Birds > Why Ducks do not freeze > Feet"
    assert not repeats_heading("Tell me why ducks DO NOT freeze, please?", heading).passed
    assert repeats_heading("Tell me why a duck does not freeze at its feet?", heading).passed  # "Feet" is a term
    assert repeats_heading(HARD, "").passed
    assert 'heading "why ducks do not freeze"' in repeats_heading("why ducks do not freeze?", heading).detail


def test_a_finding_is_kept_as_a_check() -> None:
    check = looked_up("Ducks keep glass feet?", SEED, most_overlap=0.5).check
    assert (check.name, check.value, check.limit, check.passed) == ("word overlap", 0.75, 0.5, False)
