from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import InputError
from reasonir_agent.testing import FakeEncoder
from reasonir_trainer.synthesis.rows import Seed
from reasonir_trainer.synthesis.seeds.clusters import clusters_of
from reasonir_trainer.synthesis.seeds.sampling import choose


@dataclass(frozen=True)
class Place:
    id: str
    source: str
    field: str


def grid(fields: int, sources: int, each: int) -> list[Place]:
    return [
        Place(f"{f}-{s}-{n}", f"s{s}.md", f"f{f}") for f in range(fields) for s in range(sources) for n in range(each)
    ]


def spread(counts: Counter, names) -> int:
    return max(counts[one] for one in names) - min(counts[one] for one in names)


some = st.lists(
    st.builds(
        Place, st.integers(0, 400).map(str), st.sampled_from(["a.md", "b.md", "c.pdf#page=1", "c.pdf#page=2"]),
        st.sampled_from(["", "biology", "law"]),
    ),
    max_size=60, unique_by=lambda one: one.id,
)  # fmt: skip


def test_fields_sources_and_clusters_are_even_where_there_is_enough_of_each():
    places = grid(5, 3, 12)
    clusters = {one.id: int(one.id.rpartition("-")[2]) % 4 for one in places}
    by_id = {one.id: one for one in places}
    for most in (1, 7, 30, 59, 60):
        drawn = choose(places, most, 0, clusters)
        assert len(set(drawn)) == most
        assert spread(Counter(by_id[one].field for one in drawn), {one.field for one in places}) <= 1
        assert spread(Counter(by_id[one].source for one in drawn), {one.source for one in places}) <= 1
        assert spread(Counter(clusters[one] for one in drawn), range(4)) <= 1


def test_a_small_field_is_taken_whole_before_a_large_one_is_taken_twice_as_often():
    places = [*grid(1, 1, 50), Place("x", "x.md", "rare"), Place("y", "x.md", "rare")]
    assert {"x", "y"} <= set(choose(places, 4, 0))


def test_pages_of_a_file_are_one_source():
    pages = [Place(f"p{n}", f"book.pdf#page={n}", "law") for n in range(20)]
    drawn = choose([*pages, Place("n", "note.md", "law")], 2, 3)
    assert "n" in drawn


def test_another_random_seed_draws_others_and_the_same_one_the_same():
    places = grid(2, 2, 50)
    draws = [tuple(choose(places, 20, number)) for number in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_without_a_bound_all_are_drawn():
    assert sorted(choose(grid(2, 2, 3), None, 0)) == sorted(one.id for one in grid(2, 2, 3))
    assert choose([], 5, 0) == []
    with pytest.raises(InputError, match="0 or more"):
        choose([], -1, 0)


@settings(deadline=None, max_examples=100)
@given(some, st.integers(0, 70), st.integers(0, 3), st.randoms())
def test_a_draw_is_bounded_repeatable_and_independent_of_the_order(places, most, seed, chance):
    drawn = choose(places, most, seed)
    assert len(drawn) == len(set(drawn)) == min(most, len(places))
    shuffled = list(places)
    chance.shuffle(shuffled)
    assert choose(shuffled + shuffled[:3], most, seed) == drawn
    assert choose(places, most // 2, seed) == drawn[: most // 2]


@settings(deadline=None, max_examples=100)
@given(some, st.integers(0, 70))
def test_no_field_is_ahead_by_two_of_one_that_still_has_seeds(places, most):
    by_id = {one.id: one for one in places}
    drawn = Counter(by_id[one].field for one in choose(places, most, 0))
    supply = Counter(one.field for one in places)
    for count in drawn.values():
        for other in supply:
            assert count <= drawn[other] + 1 or drawn[other] == supply[other]


@settings(deadline=None, max_examples=100)
@given(some, st.integers(0, 70))
def test_within_one_field_the_same_holds_of_sources(places, most):
    places = [replace(one, field="law") for one in places]
    by_id = {one.id: one.source.partition("#")[0] for one in places}
    drawn = Counter(by_id[one] for one in choose(places, most, 0))
    supply = Counter(by_id.values())
    for count in drawn.values():
        for other in supply:
            assert count <= drawn[other] + 1 or drawn[other] == supply[other]


def test_many_sources_take_no_quadratic_time():
    places = [Place(f"{n}", f"{n % 5000}.md", f"f{n % 17}") for n in range(20_000)]
    drawn = choose(places, 5000, 0)
    assert spread(Counter(int(one) % 17 for one in drawn), range(17)) <= 1
    # 5,000 sources and as many draws: nearly all are of different ones
    assert len({int(one) % 5000 for one in drawn}) > 4900


def ducks_and_banks() -> list[Seed]:
    subjects = ["duck feather water oil swim", "bank loan credit panic depositor"]
    words = [subject.split() for subject in subjects]
    texts = [" ".join(one[n % 5 :] + one[: n % 5]) for one in words for n in range(8)]
    return [Seed.of(source=f"{n}.md", start=0, end=1, heading="", text=text) for n, text in enumerate(texts)]


@pytest.mark.slow
def test_clusters_part_what_the_encoder_parts_and_are_the_same_in_every_run():
    seeds = ducks_and_banks()
    found = clusters_of(seeds, FakeEncoder(), 0, clusters=2)
    assert found == clusters_of(seeds, FakeEncoder(), 0, clusters=2)
    numbers = np.array([found[one.id] for one in seeds])
    assert len(set(numbers[:8])) == len(set(numbers[8:])) == 1 and numbers[0] != numbers[-1]
    assert len(set(clusters_of(seeds, FakeEncoder(), 0).values())) == 2  # the root of half of 16, rounded down
    assert clusters_of([], FakeEncoder(), 0) == {}
    assert clusters_of(seeds[:1], FakeEncoder(), 0, clusters=5) == {seeds[0].id: 0}
    with pytest.raises(InputError, match="1 or more"):
        clusters_of(seeds, FakeEncoder(), 0, clusters=0)
