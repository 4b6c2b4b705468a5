"""Words by which a text speaks of a document that its reader is supposed to have: "according to the passage", "the above".

English, German, French, Spanish and Chinese. The patterns are long and a query may have 2,000 words, so only the
surroundings of words that every mention holds are searched; that finds the same (a test holds both against each other).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_EN_NOUN: Final = (
    r"(?:text|passage|document|article|excerpt|extract|paragraph|section|chapter|snippet|reading|material)s?"
)
_EN_SAYS: Final = (
    r"(?:sa(?:ys?|id)|states?|stated|describes?|described|explains?|explained|mentions?|mentioned|argues?|argued|suggests?"
    r"|suggested|claims?|claimed|discuss(?:es|ed)?|presents?|gives?|provides?|outlines?|lists?|refers?|concludes?|uses?"
    r"|introduces?|covers?|shows?|notes?|points? out|means?|mean|defines?|teach(?:es)?)"
)
_DE_NOUN: Final = r"(?:text(?:es|s)?|passage|dokument(?:s|es)?|artikels?|abschnitt(?:s|es)?|auszugs?|absatz(?:es)?|kapitels?|autors?|autorin|verfassers?|verfasserin)"
_FR_NOUN: Final = r"(?:texte|passage|document|article|extrait|paragraphe|chapitre|auteure?|autrice)s?"
_ES_NOUN: Final = r"(?:texto|pasaje|documento|artículo|fragmento|extracto|párrafo|capítulo|autor|autora)(?:e?s)?"
_ZH_NOUN: Final = "(?:文章|文本|文档|文檔|文件|段落|材料|原文|短文|资料|資料|作者|课文|課文|内容|內容)"

_STRONG: Final = (
    rf"\b(?:according to|based on|as per|judging by) (?:the|this|that|these) (?:\w+ )?(?:{_EN_NOUN}|authors?)\b",
    rf"\b(?:the|this|that) (?:given|provided|above|preceding|attached|source|original) {_EN_NOUN}\b",
    rf"\b{_EN_NOUN} above\b",
    rf"\b(?:the|this) (?:{_EN_NOUN}|authors?) {_EN_SAYS}\b",
    rf"\b(?:does|do|did|would|can|is|are) (?:the|this) (?:{_EN_NOUN}|authors?) (?:\w+ )?{_EN_SAYS}\b",
    rf"\b(?:stated|described|explained|mentioned|discussed|outlined|presented|given|shown|used) (?:in|by) (?:the|this) (?:{_EN_NOUN}|authors?)\b",
    rf"\b(?:laut|gemäß|entsprechend|nach) (?:dem|diesem|der|dieser|des|vorliegenden?m?) (?:\w+ )?{_DE_NOUN}\b",
    rf"\b(?:der|die|das|dieser|dieses|diese) {_DE_NOUN} (?:besagt|sagt|beschreibt|erklärt|erwähnt|nennt|zeigt|behauptet|meint)\b",
    rf"\b(?:selon|d['’]après|d['’]apres|suivant) (?:le |la |les |l['’]|ce |cet |cette |ces ){_FR_NOUN}\b",
    rf"\b(?:le |la |l['’]|ce |cet |cette ){_FR_NOUN} (?:dit|décrit|explique|mentionne|indique|montre|affirme|présente)\b",
    rf"\b(?:según|de acuerdo con|conforme a) (?:el |la |los |las |este |esta |dicho ){_ES_NOUN}\b",
    rf"\b(?:el|la|este|esta) {_ES_NOUN} (?:dice|describe|explica|menciona|indica|muestra|afirma|presenta)\b",
    rf"(?:根据|根據|依据|依據|按照|依照|据|據)(?:上述|以上|上面|本|该|該|这篇|這篇|这段|這段|给定|給定|提供)?的?{_ZH_NOUN}",
    rf"(?:这|這|本|该|該|上述|以上)(?:篇|段|份)?{_ZH_NOUN}",
    rf"{_ZH_NOUN}(?:中|里|裡|所)?(?:提到|指出|认为|認為|说明|說明|描述|讲|講|介绍|介紹|所说|所述)",
)
"""Speak of a document that the reader is supposed to have."""

_WEAK: Final = (
    r"\b(?:in|from|of|by|with|see|per) (?:the|this|that) (?:text|passage(?! of (?:time|the)\b)|document|article|excerpt|extract|paragraph|section|chapter|snippet)s?\b",
    r"\b(?:the|this|that) (?:passage|excerpt)\b(?! (?:of|through|from|across|between|into|to|over)\b)",
    r"\b(?:the|this) authors?\b",
    r"\b(?:mentioned|described|discussed|stated|listed|given|explained|noted) above\b",
    r"\bas (?:mentioned|described|discussed|stated|explained|noted) (?:earlier|previously)\b",
    r"\b(?:above[- ]mentioned|aforementioned)\b",
    r"\bthe above\b(?!-| (?:ground|average|normal|zero|freezing|sea)\b)",
    r"\b(?:im|in diesem|in dem|aus dem|in dieser|in der) (?:\w+ )?(?:text|dokument|artikel|abschnitt|auszug|absatz|kapitel|passage)\b",
    r"\b(?:oben|vorher|zuvor) (?:genannt|erwähnt|beschrieben|aufgeführt)\w*|\bobige\w*",
    r"\b(?:dans|de) (?:le |la |l['’]|ce |cet |cette )(?:texte|passage|document|article|extrait|paragraphe|chapitre)\b",
    r"\bci-dessus\b|\b(?:mentionn|décri|cit)\w* (?:plus haut|précédemment)\b|\bl['’](?:auteure?|autrice)\b",
    r"\b(?:en|del|de) (?:el |la |este |esta )?(?:texto|pasaje|documento|artículo|fragmento|extracto|párrafo|capítulo)\b",
    r"\b(?:mencionad|descrit|citad|indicad)[oa]s? (?:arriba|anteriormente|antes)\b|\b(?:el autor|la autora)\b",
    r"(?<![中英德法日俄语語散论論作古外])文中|本文|原文|上文|上述|以上(?:内容|內容|提到|所)",
)
"""Could be about the query's own words in a long one, or about another document."""

_TRIGGERS: Final = tuple(
    """text passag document dokument artic artikel excerpt extract extrait paragra section chapt snippet reading material
    author autor verfasser auteur autrice abschnitt auszug auszüge absatz absätz kapitel artíc pasaje fragmento párrafo
    capítulo chapitre above aforementioned earlier previously oben vorher zuvor obige ci-dessus haut précédemment arriba
    anteriormente antes 文 作者 段落 材料 资料 資料 内容 內容 上述 以上""".split()
)
"""Every mention holds one of these; what stands around them is all that is searched."""

_AROUND: Final = 120
"""Characters on both sides; no mention is as long."""

_MENTIONS: Final = re.compile("|".join((*_STRONG, *_WEAK)), re.IGNORECASE)
_CLEAR_MENTIONS: Final = re.compile("|".join(_STRONG), re.IGNORECASE)


def mention(text: str, *, clearly: bool = False) -> str:
    """The first words that speak of a document; "" where there are none.

    Args:
        text: a query.
        clearly: only what can mean nothing else.
    """
    pattern = _CLEAR_MENTIONS if clearly else _MENTIONS
    folded = text.lower()
    if len(folded) != len(text):  # "İ" becomes two characters
        found = pattern.search(text)
    else:
        found = next(filter(None, (_found_at(pattern, text, place) for place in _trigger_places(folded))), None)
    return found[0] if found else ""


def _found_at(pattern: re.Pattern[str], text: str, place: int) -> re.Match[str] | None:
    """A mention that begins before a trigger; what follows it ("of time") is seen too, so that no cut makes a mention."""
    start = text.rfind(" ", 0, max(0, place - _AROUND)) + 1
    found = pattern.search(text, start, place + 2 * _AROUND)
    return found if found and found.start() <= place else None


def _trigger_places(folded: str) -> Iterator[int]:
    """Where the words stand that a mention could hold."""
    for trigger in _TRIGGERS:
        place = folded.find(trigger)
        while place >= 0:
            yield place
            place = folded.find(trigger, place + 1)
