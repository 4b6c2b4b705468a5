import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import InputError
from reasonir_trainer.synthesis.exclusion import Exclusion, KnownTexts
from reasonir_trainer.synthesis.rows import Negative, Provenance, Row, Seed, SeedPlace

QUERY = "Why do the feathers of a duck stay dry when it dives under the ice for several minutes at a time?"
SHORT = "Why do ducks float on water?"
GOLD = """A duck's feathers stay dry because the barbules hook into each other and leave gaps that are filled with air.
Water cannot enter the gaps without bending its surface, and bending it costs energy. The oil from the preen gland keeps
the barbules supple; it is not what repels the water."""
OTHER = """A bank lends for years what it owes at once. While few depositors come on one day, this works; when all fear that
the others will come, each is right to come first."""


def row(**parts) -> Row:
    seed = Seed.of(source="a.md", start=0, end=1, heading="", text="x")
    given = {"query": "What is asked here about banks?", "positive": OTHER, "negatives": ()} | parts
    made = Provenance(model="m", prompts=1, attempts=1)
    return Row(id="1", kind="hq", seed=SeedPlace.of(seed), made=made, **given)


@pytest.fixture
def guard() -> Exclusion:
    queries = [("the query 'q1'", QUERY), ("the query 'q2'", SHORT), ("the query 'q3'", "Why ducks?")]
    return Exclusion("birds", queries, [("the document 'd1'", GOLD)], similar=0.7)


def words(text: str, begin: int, end: int) -> str:
    return " ".join(text.split()[begin:end])


@pytest.mark.parametrize(
    ("text", "close"),
    [
        (QUERY, "the query 'q1': the same words"),
        (QUERY.upper().replace(" ", "  "), "the query 'q1': the same words"),
        ("why ducks", "the query 'q3': the same words"),
        (QUERY.replace("minutes", "hours"), "the query 'q1': 13 words in a row"),
        (GOLD.replace("energy", "work"), "the document 'd1': similarity 0.8"),
        (f"Somebody asks: {SHORT} I do not know.", "the query 'q2': 6 words in a row"),
        (f"{OTHER} {words(GOLD, 20, 33)} {OTHER}", "the document 'd1': 13 words in a row"),
        (f"{OTHER} {QUERY} {OTHER}", "the query 'q1': 13 words in a row"),
    ],
)
def test_what_is_close_is_recognised_and_named(guard, text, close):
    assert (guard.close_to(text) or "").startswith(close)


@pytest.mark.parametrize(
    "text",
    [
        OTHER,
        "",
        "?!",
        f"{OTHER} {words(GOLD, 20, 32)} {OTHER}",  # 12 words in a row
        f"{OTHER} {SHORT} {OTHER}",  # a short question in a long document
        "Why ducks swim?",  # a text under six words must be the same
        "Why do swans float on water?",
    ],
)
def test_what_is_not_close_passes(guard, text):
    assert guard.close_to(text) is None


@pytest.mark.parametrize(
    ("parts", "seed_text", "reason"),
    [
        ({"query": QUERY}, "", "query close to a query of an evaluation set"),
        ({"rewritten": QUERY}, "", "rewritten query close to a query of an evaluation set"),
        ({"positive": GOLD}, "", "positive close to a gold document of an evaluation set"),
        ({}, GOLD, "seed close to a gold document of an evaluation set"),
        ({"negatives": (Negative(text=OTHER, origin="written"), Negative(text=GOLD, origin="bm25"))}, "",
         "negative close to a gold document of an evaluation set"),
        ({"positive": f"{QUERY} {OTHER}"}, "", "positive close to a query of an evaluation set"),
    ],
)  # fmt: skip
def test_every_part_of_a_row_is_held_against_both(guard, parts, seed_text, reason):
    found = guard.check(row(**parts), seed_text)
    assert found is not None and found.reason == reason and found.detail.endswith("of birds")
    assert guard.check(row(), OTHER) is None
    assert guard.counts == {reason: 1}


def test_chinese_is_held_against_chinese():
    guard = Exclusion("鸟", [("q", "鸭子的羽毛为什么不会被水打湿，请解释其中的原因。")], [], similar=0.7)
    assert guard.close_to("请问：鸭子的羽毛为什么不会被水打湿，请解释其中的原因？") is not None
    assert guard.close_to("银行为什么会在所有储户同时取款的时候倒闭呢？请解释。") is None


def test_phrases_that_stand_in_many_known_texts_are_no_content():
    phrase = "this page was last edited on a day in may and is free to use by all"
    texts = [(f"d{n}", f"{phrase} " + " ".join(f"w{n}x{m}" for m in range(40))) for n in range(12)]
    mine = f"{phrase} " + " ".join(f"mine{m}" for m in range(40))
    assert KnownTexts(texts[:10], similar=0.7).match(mine) is not None
    assert KnownTexts(texts, similar=0.7).match(mine) is None
    assert KnownTexts([*texts[:1]] * 20, similar=0.7).match(mine) is not None  # one document, named by many splits


def beir(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": "d1", "title": "", "text": GOLD}, {"_id": "d2", "title": "", "text": OTHER}]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": QUERY}) + "\n")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\n")
    return folder


def test_a_data_set_is_opened_and_only_its_gold_documents_are_guarded(tmp_path):
    guard = Exclusion.open(str(beir(tmp_path / "birds")), similar=0.7)
    assert guard.sizes == (1, 1) and guard.warnings == []
    assert guard.close_to(QUERY) == "the query 'q1' (test): the same words"
    assert guard.close_to(GOLD) == "the document 'd1' (test): the same words"
    assert guard.close_to(OTHER) is None  # judged 0
    assert Exclusion.open("birds", similar=0.7, data_folder=tmp_path).name == "birds"
    with pytest.raises(InputError, match="there is no data set 'none'"):
        Exclusion.open("none", similar=0.7)


def test_the_examples_are_a_data_set():
    examples = Path(__file__).parents[3] / "examples"
    guard = Exclusion.open(str(examples), similar=0.7)
    queries, documents = guard.sizes
    assert queries > 5 and documents > 5
    assert guard.close_to((examples / "corpus" / "surface-tension.md").read_text()) is not None


@settings(deadline=None, max_examples=150)
@given(st.lists(st.text(max_size=60), max_size=5), st.text(max_size=60))
def test_any_text_can_be_held_against_any_others(known, text):
    texts = KnownTexts([(str(n), one) for n, one in enumerate(known)], similar=0.7)
    found = texts.match(text)
    assert found is None or int(found.name) < len(known)
    for one in known:
        if any(character.isalnum() for character in one):
            match = texts.match(one)
            assert match is not None and match.how == "exact"
