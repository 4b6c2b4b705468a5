"""Which language a text is in, by py3langid: BSD licence, 5 MB, 140 languages, no chance in it.

Looked at: lingua (Apache licence) tells short texts apart better, but weighs 96 MB; seeds have 60 words and more, where
both are sure. The model takes about a second and 120 MB once, then 0.25 ms a text, and is loaded only when asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final

from reasonir_agent.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier  # type: ignore[import-untyped]

OTHER_LANGUAGE: Final = "other language"
UNKNOWN_LANGUAGE: Final = "language cannot be told"

_READ: Final = 600  # characters of the beginning, about 100 words
_LEAST_SURE: Final = 0.06  # probability; digits and signs alone get up to 0.05, a sentence of six words 0.3 and more

_FAMILIES: Final = {"zh": {"wuu", "yue"}, "no": {"nn"}, "ar": {"arz", "ary"}, "uz": {"uzs"}}
"""Codes that are told apart and are kept with the one that a user names."""

_SAME: Final = {"nb": "no", "iw": "he", "in": "id", "cmn": "zh", "fil": "tl"}


def language_rule(languages: tuple[str, ...]) -> Callable[[str], str | None]:
    """A rule that lets the named languages pass.

    Args:
        languages: ISO 639 codes ("en", "zh"); a region ("zh-CN") is not looked at.

    Raises:
        InputError: a code is unknown.
        MissingExtra: py3langid is not installed.
    """
    named = {one.lower().replace("_", "-").partition("-")[0] for one in languages}
    codes = {_SAME.get(one, one) for one in named}
    known = set(_identifier().labels) - {"zxx"}
    if codes - known:
        raise InputError(f"unknown language {min(codes - known)!r}; known are {', '.join(sorted(known))}")
    kept = codes.union(*(_FAMILIES.get(one, set()) for one in codes))

    def rule(text: str) -> str | None:
        code = language(text)
        if not code:
            return UNKNOWN_LANGUAGE
        return None if code in kept else OTHER_LANGUAGE

    return rule


def language(text: str) -> str:
    """ISO 639 code of a text's language, judged by its first 600 characters; "" where it cannot be told."""
    beginning = " ".join(text[: 4 * _READ].split())[:_READ]
    code, probability = _identifier().classify(beginning.encode("utf-8", "replace").decode())
    return "" if probability < _LEAST_SURE or code == "zxx" else str(code)  # zxx: no linguistic content


@cache
def _identifier() -> LanguageIdentifier:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ModuleNotFoundError as cause:
        raise MissingExtra(
            "telling languages apart needs the package 'py3langid', which is not installed; run: pip install py3langid"
        ) from cause
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
