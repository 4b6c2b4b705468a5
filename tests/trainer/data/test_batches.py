"""The tokens of a batch are those of inference, sorted by length; processes share a batch without overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasonir_agent.encoder.tokens import TextTokenizer
from reasonir_trainer.data.batches import NO_KEY, Reading
from reasonir_trainer.data.examples import Candidate, Example, Source, key_of
from reasonir_trainer.data.mixing import Drawn

PREFIX = "<|user|>\nFind\n<|embed|>\n"


@pytest.fixture
def read(golden_folder: Path) -> Any:
    def made(**settings: Any) -> Reading:
        chosen = {
            "tokenizer": TextTokenizer(golden_folder),
            "query_prefixes": {"some": PREFIX},
            "document_prefix": "",
            "query_tokens": 64,
            "document_tokens": 32,
            "negatives": 2,
            "pool_prefix": False,
            "seed": 0,
        }
        return Reading(**{**chosen, **settings})

    return made


def example(number: int, *, positives: int = 1, negatives: int = 2) -> Example:
    words = "salt " * (number + 1)
    return Example(
        f"e{number}",
        f"why {words}{number}",
        tuple(Candidate(f"good {words}{number} {n}", 5.0) for n in range(positives)),
        tuple(Candidate(f"bad {words}{number} {n}") for n in range(negatives)),
    )


def drawn(*found: Example, passes: int = 0) -> Drawn:
    return Drawn(Source("some", found), list(found), passes)


def test_rows_are_sorted_by_length_and_the_order_leads_back(read: Any, golden_folder: Path) -> None:
    batch = read().batch(drawn(*(example(n) for n in (2, 0, 3, 1))))
    lengths = batch.queries.attended.sum(1).tolist()
    assert lengths == sorted(lengths, reverse=True) and len(set(lengths)) == 4
    tokenizer = TextTokenizer(golden_folder)
    for text, row in zip(batch.queries.texts, batch.queries.order.tolist(), strict=True):
        tokens = tokenizer.split([text], PREFIX)[0]
        ids = [*tokens.head, *tokens.body, *tokens.tail]
        assert batch.queries.ids[row, : len(ids)].tolist() == ids
        assert batch.queries.attended[row].sum() == len(ids)
    assert batch.queries.prompt == len(tokenizer.split(["x"], PREFIX)[0].head) > 1
    assert batch.documents.prompt == 0


def test_places_grades_and_keys_belong_together(read: Any) -> None:
    batch = read().batch(drawn(example(0), example(1, negatives=1)))
    assert batch.own.tolist() == [[0, 1, 2], [3, 4, -1]]
    np.testing.assert_array_equal(np.isnan(batch.grades), [[False, True, True], [False, True, True]])
    assert batch.keys.tolist() == [key_of(text) for text in batch.documents.texts]
    assert batch.known[0].tolist()[:2] == [key_of("why salt 0"), key_of("good salt 0 0")]


def test_what_a_query_must_not_have_as_negative_is_known(read: Any) -> None:
    plain = Example("a", "q", (Candidate("p"),), related=("near p",))
    batch = read().batch(drawn(plain, example(1, positives=3)))
    assert batch.known[0].tolist() == [key_of("q"), key_of("p"), key_of("near p"), NO_KEY]
    assert len(set(batch.known[1].tolist())) == 4  # itself and all of its positives


def test_equal_documents_are_one(read: Any) -> None:
    one = Example("a", "q a", (Candidate("Same words"),))
    two = Example("b", "q b", (Candidate("same  WORDS"),), (Candidate("other"),))
    batch = read().batch(drawn(one, two))
    assert batch.own.tolist() == [[0, -1], [0, 1]]
    assert len(batch.documents.ids) == 2


def test_texts_are_cut_to_their_lengths(read: Any) -> None:
    long = Example("a", "why " * 500, (Candidate("salt " * 500),))
    batch = read().batch(drawn(long, example(1)))
    assert batch.queries.ids.shape[1] == 64
    assert batch.documents.ids.shape[1] == 32


def test_every_pass_takes_another_positive_and_the_same_one_again(read: Any) -> None:
    one = example(0, positives=3, negatives=5)
    first = [read().batch(drawn(one, example(1), passes=n)) for n in range(4)]
    chosen = [batch.documents.texts[batch.own[0, 0]] for batch in first]
    assert len(set(chosen[:3])) == 3 and chosen[3] == chosen[0]
    assert len({tuple(batch.documents.texts[place] for place in batch.own[0, 1:]) for batch in first}) > 1
    again = read().batch(drawn(one, example(1), passes=1))
    assert again.documents.texts == first[1].documents.texts


def test_processes_share_a_batch_without_overlap(read: Any) -> None:
    some = drawn(*(example(n) for n in range(6)))
    whole = read().batch(some)
    parts = [read().batch(some, rank=rank, world=3) for rank in range(3)]
    assert [text for part in parts for text in part.queries.texts] == whole.queries.texts
    assert [text for part in parts for text in part.documents.texts] == whole.documents.texts
