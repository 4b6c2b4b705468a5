"""Elements of a page. A text is escaped on its way in, whoever it came from; only what is built here is markup.

Documents and models are hostile: no text becomes an element, an attribute, or ends either. Control characters, which a
page may not hold, are removed, and signs that turn the direction of writing are made visible.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final, Protocol, TypeAlias, runtime_checkable

from reasonir_agent.evaluation.report.figures import clean, halves

_EMPTY: Final = frozenset({"meta", "wbr"})
_TURNED: Final = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\N{REPLACEMENT CHARACTER}")
"""Signs that turn the direction of writing: with them, a text can be shown as what it is not."""


@runtime_checkable
class HasMarkup(Protocol):
    """What is markup already, such as a picture."""

    def __html__(self) -> str:
        """The markup."""
        ...


class Markup(str):
    """Markup that was built here. Joined with a text it is a text again, and escaped like one."""

    __slots__ = ()

    def __html__(self) -> str:
        """Itself."""
        return str(self)


Inside: TypeAlias = "str | HasMarkup | Iterable[Inside] | None"


def tag(name: str, /, *inside: Inside, **attributes: str | bool | None) -> Markup:
    """An element.

    Args:
        name: of the element.
        inside: texts, elements, pictures, lists of them; None is nothing.
        attributes: by name, `_` for `-` and `class_` for `class`; True has no value, False and None are left out.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _EMPTY:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{_joined(inside)}</{name}>")


def style(rules: str) -> Markup:
    """Rules of our own style sheets; they are not escaped."""
    return Markup(f"<style>\n{rules}</style>")


def joined(*inside: Inside) -> Markup:
    """Several things as one."""
    return Markup(_joined(inside))


def text(words: str, length: int) -> Markup:
    """Foreign text; what is long is folded behind its beginning."""
    beginning, rest = halves(words, length)
    if not rest:
        return tag("p", beginning, class_="text", dir="auto")
    more = tag("span", " … more", class_="rest")
    return tag("details", tag("summary", beginning, more, dir="auto"), tag("p", rest, dir="auto"), class_="long")


def table(
    caption: str, heads: Iterable[Inside], rows: Iterable[Iterable[Inside]], *, numbers: Iterable[int] = ()
) -> Markup:
    """A table that scrolls where it is too wide; the first cell of a row is its head.

    Args:
        caption: what it shows.
        heads: of the columns; none makes a table without.
        rows: cells.
        numbers: columns that hold numbers, counted from 0.
    """
    right, named = set(numbers), list(heads)

    def cells(row: Iterable[Inside], kind: str, **scope: str) -> list[Markup]:
        return [
            tag(kind, one, dir="auto", class_="number" if place in right else None, **scope)
            for place, one in enumerate(row)
        ]

    body = [tag("tr", cells(row[:1], "th", scope="row"), cells(row, "td")[1:]) for row in map(list, rows)]
    top = cells(named, "th", scope="col")
    made = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", tag("tr", top)) if named else None,
        tag("tbody", body),
    )
    return tag("div", made, class_="scroll", role="region", aria_label=caption, tabindex="0")


def visible(words: str) -> str:
    """Foreign text as a page may hold it, not escaped yet."""
    return clean(words).translate(_TURNED)


def _joined(inside: Iterable[Inside]) -> str:
    return "".join(map(_written, inside))


def _written(one: Inside) -> str:
    if one is None:
        return ""
    if isinstance(one, HasMarkup):
        return one.__html__()
    return _escaped(one) if isinstance(one, str) else _joined(one)


def _attribute(key: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{_escaped(value)}"'


def _escaped(words: str) -> str:
    return html.escape(visible(words))
