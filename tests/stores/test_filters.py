"""Reading filters, and the two rules that apply them."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import InputError
from reasonir_agent.stores.filters import as_sql, check_where, comparable, matches, number_of, parse_where
from reasonir_agent.types import Condition, Scalar

OPERATORS = ["=", "!=", "<", "<=", ">", ">="]
FIELDS = st.text(st.characters(exclude_characters="=<>!", exclude_categories=["Z", "Cc", "Cs"]), min_size=1, max_size=8)
VALUES = st.text(min_size=1, max_size=20).map(str.strip).filter(lambda text: text and not text.startswith("="))
SPACES = st.text(" \t\n", max_size=3)

few = settings(max_examples=60, deadline=None)


class TestParsing:
    @pytest.mark.parametrize(
        ("text", "field", "operator", "value"),
        [
            ("type=pdf", "type", "=", "pdf"),
            ("  type =  pdf \n", "type", "=", "pdf"),
            ("year!=1999", "year", "!=", "1999"),
            ("date>=2024-03", "date", ">=", "2024-03"),
            ("date<2024", "date", "<", "2024"),
            ("source=notes/*", "source", "=", "notes/*"),
            ("title=a = b", "title", "=", "a = b"),
            ("title=two\nlines", "title", "=", "two\nlines"),
            ("title=>5", "title", "=", ">5"),
            ("作者=曹雪芹", "作者", "=", "曹雪芹"),
            ("a.b$c'd\"e=1", "a.b$c'd\"e", "=", "1"),
        ],
    )
    def test_a_condition_is_field_operator_value(self, text: str, field: str, operator: Any, value: str) -> None:
        assert parse_where([text]) == (Condition(field, operator, value),)

    def test_several_are_kept_in_order_and_none_is_the_empty_filter(self) -> None:
        assert [one.field for one in parse_where(["b=1", "a=2", "b=3"])] == ["b", "a", "b"]
        assert parse_where([]) == parse_where(()) == ()

    @few
    @given(FIELDS, st.sampled_from(OPERATORS), VALUES, SPACES, SPACES)
    def test_what_is_written_is_read(self, field: str, operator: Any, value: str, before: str, after: str) -> None:
        if field in ("date", "source"):
            return
        text = f"{before}{field}{after}{operator}{before}{value}{after}"
        assert parse_where([text]) == (Condition(field, operator, value),)

    @few
    @given(st.text(max_size=30))
    def test_any_text_is_a_condition_or_an_input_error(self, text: str) -> None:
        try:
            (condition,) = parse_where([text])
        except InputError:
            return
        assert condition.operator in OPERATORS
        assert condition.field and condition.value and condition.value == str(condition.value).strip()
        assert not set(condition.field) & set("=<>! \n\t")

    @pytest.mark.parametrize("text", ["", "type", "=pdf", "type=", "type=  ", "a b=c", "!x", "<=>", "  "])
    def test_what_is_no_condition_is_refused_with_an_example(self, text: str) -> None:
        with pytest.raises(InputError, match="for example type=pdf or date>=2024-03; got") as caught:
            parse_where(["good=1", text])
        assert repr(text) in str(caught.value)

    def test_one_text_in_the_place_of_a_list_is_refused(self) -> None:
        with pytest.raises(InputError, match="as a list of texts"):
            parse_where("type=pdf")

    def test_what_is_no_text_is_refused(self) -> None:
        with pytest.raises(InputError, match="got 5"):
            parse_where([5])  # type: ignore[list-item]

    @pytest.mark.parametrize("date", ["24", "2024-3", "2024-03-01T10:00", "March", "２０２４", "2024-"])
    def test_a_date_has_year_month_and_day_in_digits(self, date: str) -> None:
        with pytest.raises(InputError, match="YYYY-MM-DD"):
            parse_where([f"date>={date}"])

    def test_a_source_has_no_order(self) -> None:
        with pytest.raises(InputError, match="by = or != only"):
            parse_where(["source>a"])

    def test_long_white_space_is_read_in_no_time(self) -> None:
        """A pattern that goes back over white space needs minutes for this."""
        text = "a=x" + " " * 200_000 + "y"
        assert parse_where([text])[0].value == text[2:]


class TestTheRuleOfAnIndex:
    @pytest.mark.parametrize(
        ("stored", "operator", "wanted", "holds"),
        [
            ("pdf", "=", "pdf", True),
            ("pdf", "=", "PDF", False),
            ("pdf", "!=", "md", True),
            ("7", "=", 7, False),
            (7, "=", "7", False),
            (7, "=", 7.0, True),
            (7, "<", 7.5, True),
            (7.5, "<=", 7, False),
            (7, ">=", 7, True),
            (7, ">", 7, False),
            (True, "=", True, True),
            (True, "=", 1, False),
            (1, "=", True, False),
            (True, "!=", 1, True),
            (True, ">", 0, False),
            ("2024", ">", 3, False),
            (None, "=", "x", False),
            (None, "!=", "x", True),
            (None, "<", 5, False),
            (float("nan"), "=", 5, False),
            (float("nan"), "!=", 5, True),
            (float("inf"), ">", 5, False),
        ],
    )
    def test_kinds_are_apart_and_numbers_alone_have_an_order(
        self, stored: Scalar | None, operator: Any, wanted: Scalar, holds: bool
    ) -> None:
        metadata = {} if stored is None else {"field": stored}
        assert matches(metadata, (Condition("field", operator, wanted),)) is holds

    def test_all_conditions_must_hold_and_none_lets_everything_through(self) -> None:
        low, high = Condition("n", ">", 1), Condition("n", "<", 5)
        assert [matches({"n": n}, (low, high)) for n in (1, 2, 5)] == [False, True, False]
        assert matches({}, ())

    @few
    @given(
        st.dictionaries(st.sampled_from("ab"), st.one_of(st.text(max_size=2), st.integers(), st.booleans())),
        st.sampled_from("ab"),
        st.one_of(st.text(max_size=2), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()),
    )
    def test_unequal_is_the_opposite_of_equal(self, metadata: dict[str, Scalar], field: str, value: Scalar) -> None:
        equal, unequal = Condition(field, "=", value), Condition(field, "!=", value)
        assert matches(metadata, (equal,)) is not matches(metadata, (unequal,))

    @few
    @given(st.integers(-9, 9), st.floats(-9, 9))
    def test_three_of_the_four_orders_follow_from_one(self, stored: int, limit: float) -> None:
        below, at_most, above, at_least = (
            matches({"n": stored}, (Condition("n", operator, limit),)) for operator in ("<", "<=", ">", ">=")
        )
        assert (at_least, at_most) == (not below, not above)
        assert below is (stored < limit) and above is (stored > limit)

    @pytest.mark.parametrize("value", ["2024", "", True])
    def test_an_order_without_a_number_is_refused_even_where_no_row_has_the_field(self, value: Scalar) -> None:
        condition = Condition("date", ">=", value)
        for refuse in (
            lambda: matches({}, (condition,)),
            lambda: check_where((condition,)),
            lambda: number_of(condition),
        ):
            with pytest.raises(InputError, match="date >= needs a number, got"):
                refuse()

    def test_an_unknown_operator_is_refused(self) -> None:
        with pytest.raises(InputError, match="one of = != < <= > >=; got '~'"):
            matches({"a": 1}, (Condition("a", "~", 1),))  # type: ignore[arg-type]

    def test_numbers_become_floats_and_those_that_are_not_finite_nothing(self) -> None:
        values: list[Scalar | None] = [7, 7.5, "7", True, None, float("nan"), -float("inf"), 10**400]
        assert [comparable(value) for value in values] == [7.0, 7.5, "7", True, None, None, None, None]
        assert type(comparable(7)) is float


DOCUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    # source: (path, metadata)
    "notes/a.md": ("notes/a.md", {"type": "md", "date": "2024-03-05", "year": 2024}),
    "notes/b.pdf#page=1": ("notes/b.pdf", {"type": "pdf", "date": "2023-12-31", "year": "2023", "pages": 10}),
    "notes/b.pdf#page=2": ("notes/b.pdf", {"type": "pdf", "pages": 9, "draft": True}),
    "notes/deep/c[1].txt": ("notes/deep/c[1].txt", {"type": "txt", "draft": "true", 'a"b': 1}),
    "notesnot/d.txt": ("notesnot/d.txt", {"type": "txt", "draft": False, "ab": 1, "pages": 7.5}),
    "e_f.txt": ("e_f.txt", {"date": "2024", "author": "Mann", "a.b": "x", "deep": "it's", "one": 1}),
}


@pytest.fixture
def chosen() -> Any:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE documents (source TEXT, path TEXT, metadata TEXT)")
    rows = [(source, path, json.dumps(metadata)) for source, (path, metadata) in DOCUMENTS.items()]
    connection.executemany("INSERT INTO documents VALUES (?, ?, ?)", rows)

    def chosen(*texts: str | Condition) -> set[str]:
        where = tuple(one if isinstance(one, Condition) else parse_where([one])[0] for one in texts)
        clause, values = as_sql(where)
        found = connection.execute(f"SELECT source FROM documents WHERE {clause}", values)
        return {row[0].split("/")[-1] for row in found}

    yield chosen
    connection.close()


EVERYTHING = {source.split("/")[-1] for source in DOCUMENTS}
A, B1, B2, C, D, E = (source.split("/")[-1] for source in DOCUMENTS)


class TestTheRuleOfAStore:
    @pytest.mark.parametrize(
        ("texts", "expected"),
        [
            ([], EVERYTHING),
            (["type=pdf"], {B1, B2}),
            (["type!=pdf"], {A, C, D, E}),
            (["type=pdf", "pages>9"], {B1}),
            (["type=PDF"], set()),
            # a source is a path, a folder, a pattern, or one page
            (["source=notes"], {A, B1, B2, C}),
            (["source=notes/"], {A, B1, B2, C}),
            (["source=notes/b.pdf"], {B1, B2}),
            (["source=notes/b.pdf#page=2"], {B2}),
            (["source=notes/*"], {A, B1, B2, C}),
            (["source=*.txt"], {C, D, E}),
            (["source=notes/deep/c[1].txt"], {C}),
            (["source=e?f.txt"], {E}),
            (["source=e%f.txt"], set()),
            (["source!=notes"], {D, E}),
            (["source!=*.txt", "source!=notes/a.md"], {B1, B2}),
            # a date is compared by as much of it as was given
            (["date=2024"], {A, E}),
            (["date=2024-03"], {A}),
            (["date>=2024"], {A, E}),
            (["date<=2023"], {B1}),
            (["date<2024-03-06"], {A, B1, E}),
            (["date>2024"], set()),
            (["date!=2024"], {B1, B2, C, D}),
            # a text that is a number asks for both
            (["year=2024"], {A}),
            (["year=2023"], {B1}),
            (["year>=2023"], {A, B1}),
            (["pages<9.5"], {B2, D}),
            (["pages>=7.5", "pages!=10"], {B2, D}),
            (["pages=1e1"], {B1}),
            (["one=1"], {E}),
            # truth values are no numbers
            (["draft=true"], {B2, C}),
            (["draft=false"], {D}),
            (["draft=1"], set()),
            (["draft>=0"], {C}),  # as texts, 'true' comes after '0'
            (["draft!=true"], {A, B1, D, E}),
            # texts have an order here
            (["author>=M"], {E}),
            (["author<M"], set()),
            # odd names
            (['a"b=1'], {C}),
            (["ab=1"], {D}),
            (["a.b=x"], {E}),
            (["deep=it's"], {E}),
            (["nowhere=1"], set()),
            (["nowhere>1"], set()),
            (["nowhere!=1"], EVERYTHING),
        ],
    )
    def test_it_chooses_these_documents(self, chosen: Any, texts: list[str], expected: set[str]) -> None:
        assert chosen(*texts) == expected

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            (Condition("year", ">=", 2000), {A}),
            (Condition("year", "=", 2024.0), {A}),
            (Condition("draft", "=", True), {B2}),
            (Condition("draft", "!=", True), EVERYTHING - {B2}),
            (Condition("one", "=", True), set()),
            (Condition("draft", ">", True), set()),
        ],
    )
    def test_values_of_other_kinds_are_taken_as_they_are(
        self, chosen: Any, condition: Condition, expected: set[str]
    ) -> None:
        assert chosen(condition) == expected

    @pytest.mark.parametrize("evil", ["x' OR '1'='1", '"); DROP TABLE documents; --', "$", '$."type"', "a\\", "?", "*"])
    def test_no_text_is_read_as_sql_or_as_a_path(self, chosen: Any, evil: str) -> None:
        field = "".join(evil.split()).replace("=", "")
        assert chosen(Condition(field, "=", "pdf")) == set()
        assert chosen(Condition("type", "=", evil)) == set()
        assert chosen(Condition(field, "!=", evil)) == EVERYTHING

    @few
    @given(texts=st.lists(st.tuples(FIELDS, st.sampled_from(OPERATORS), VALUES), max_size=3))
    def test_every_filter_that_can_be_read_can_be_run(self, texts: list[tuple[str, str, str]]) -> None:
        where = parse_where(["".join(one) for one in texts if one[0] not in ("date", "source")])
        clause, values = as_sql(where)
        connection = sqlite3.connect(":memory:")
        connection.execute("CREATE TABLE documents (source TEXT, path TEXT, metadata TEXT)")
        connection.execute("INSERT INTO documents VALUES ('a', 'a', '{}')")
        found = connection.execute(f"SELECT count(*) FROM documents WHERE {clause}", values).fetchone()[0]
        connection.close()
        assert found == all(one.operator == "!=" for one in where)
