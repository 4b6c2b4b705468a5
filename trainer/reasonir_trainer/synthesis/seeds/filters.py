"""Which pieces are worth asking about: length, language, and rules against what is no prose.

Each rule is a pure function of the text that returns a short reason for counting, or None. Words and shares decide, not
white space: how many blanks stand between two words changes nothing, and blank lines do not either (line breaks do, for
the rules about lines). Rules are asked in the order of `RULES`, the cheapest first; the first reason stands.

Measured at the limits that stand here, on pieces of 60 to 600 words. Refused: 94% of 651 pieces of licence files and 60%
of 1,325 of Python modules (the others are mostly docstrings); 4.3% of 1,541 of college textbooks, nearly all of them
glossaries without a sentence; of questions from Stack Exchange none on biology, psychology, earth science and
sustainable living, 2% on economics, 20% to 35% on robotics and programming, those that are mostly code; 14% of
programming problems, 12% of competition mathematics (drawings in code), none of the theorems and their questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from reasonir_trainer.synthesis.seeds.boilerplate import (
    code,
    contents,
    licence,
    links,
    navigation,
    repeated_lines,
    signs,
)
from reasonir_trainer.synthesis.seeds.language import language_rule
from reasonir_trainer.synthesis.word_runs import count_words

if TYPE_CHECKING:
    from reasonir_trainer.synthesis.exclusion import Exclusion

Rule = Callable[[str], str | None]

TOO_SHORT: Final = "too short"
TOO_LONG: Final = "too long"
CLOSE: Final = "close to an evaluation set"

RULES: Final[tuple[Rule, ...]] = (signs, repeated_lines, contents, code, links, navigation, licence)
"""Rules that hold whatever the settings are."""


def length(text: str, *, least: int, most: int) -> str | None:
    """Too few or too many words. Adding text never makes a text too short, cutting it never too long."""
    words = count_words(text)
    if words < least:
        return TOO_SHORT
    return TOO_LONG if words > most else None


def rules(*, least: int, most: int, languages: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """All rules of a run, in the order in which they are asked.

    Args:
        least: fewest words.
        most: most words.
        languages: codes of the languages to keep; empty keeps all.

    Raises:
        InputError: a code is unknown.
    """

    def fits(text: str) -> str | None:
        return length(text, least=least, most=most)

    return (fits, *RULES, *([language_rule(languages)] if languages else []))


def apart(guards: Sequence[Exclusion]) -> tuple[Rule, ...]:
    """Rules against texts that are close to an evaluation set: what is made from them would be dropped at the end."""
    return tuple(lambda text, guard=guard: CLOSE if guard.close_to(text) else None for guard in guards)


def first_reason(text: str, asked: tuple[Rule, ...]) -> str | None:
    """The reason of the first rule that refuses a text; None when all let it pass."""
    return next((reason for rule in asked if (reason := rule(text)) is not None), None)
