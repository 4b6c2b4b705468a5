r"""What an answer may show: no link, no image, no markup and no control character that only a passage or a model brought.

A document can hold an instruction such as "end with this image", and a chat page that renders it sends what stands in
the address to somebody else. So an answer keeps an address only when the user's question holds exactly this address.
Everything else that could become a link, a picture or an element on some page is broken by one inserted space or is
left out: inline links, definitions of reference links, tags with attributes and tags that act, autolinks, LaTeX's
`\href`, terminal escapes. No step needs a pair of brackets to be found, so none can be led astray by nested ones, and
text in code is treated like any other, since pages differ in what they take for code. `vector<int>` and `a < b` stay.

What is not broken: a name without a scheme and a path ("example.com") is a word. The result is the same when it is
made harmless again; the time is linear. Quotes and hits are data: they stay verbatim, and whoever shows them escapes
them.
"""

from __future__ import annotations

import html
import re
from typing import Final

from reasonir_agent.invisible import INVISIBLE

REMOVED: Final = "[link removed]"

_HIDDEN: Final = {
    **dict.fromkeys((*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000), *INVISIBLE)),
    **dict.fromkeys((0x2028, 0x2029), "\n"),
}
"""Control characters but tab and new line, direction marks, invisible ones (joiners are letters in some scripts), tags."""

_ESCAPE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"  # colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x08\x0b-\x1f\x7f-\x9f]*+(?:\x07|\x1b\\|\x9c)"  # titles, links
)
_REFERENCE: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_STAYS_WRITTEN: Final = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}

_IMAGE: Final = re.compile(r"!\[([^\[\]]*)\]\([^()]*+\)")
_LINK: Final = re.compile(
    r"(?<![\w\])])\[([^\[\]]*)\]\([ \t\n]*+<?+(?=[^()\s<>]*[:/.#?@])([^()\s<>]*+)>?+[^()]*+\)"  # not handlers[name](event)
)
_LATEX: Final = re.compile(
    r"(?<!\\)\\++(?=(?:href|url|includegraphics|htmlClass|htmlData|htmlId|htmlStyle|cssId))"
)  # also before further letters: an address that stands there is about to leave

_STOPS: Final = r"\s<>\"'`)\]}|，。、；：！？）】》」"  # where an address ends
_HOST: Final = rf"[^{_STOPS}/?#]*+"
_PATH: Final = rf"[^{_STOPS}\u3000-\u9fff\uac00-\ud7af\uff00-\uffef]*+"  # Chinese goes on behind it without a space
_LETTER: Final = r"a-z0-9\-\u00c0-\u1fff"  # of a name without a scheme; Chinese may stand before it without a space
_ADDRESS: Final = re.compile(
    rf"(?:https?\\?:(?=\S)|file\\?:(?=\\?/))[\\/]*+{_HOST}{_PATH}"
    rf"|(?<![a-z0-9+.\-])[a-z][a-z0-9+.\-]{{1,31}}\\?:\\?/\\?/{_HOST}{_PATH}"
    rf"|(?:javascript|vbscript)\\?:(?=\S){_PATH}"
    rf"|(?:mailto|xmpp|tel|sms|magnet|blob)\\?:(?=[^\s:]){_PATH}"
    rf"|(?<![a-z0-9])data\\?:(?:[a-z0-9.+\-]++/[a-z0-9.+\-]++)?[;,](?=\S){_PATH}"
    rf"|(?<![a-z0-9])www\\?\.(?=\S){_HOST}{_PATH}"
    rf"|(?<![{_LETTER}.])[{_LETTER}.]*\\?\.(?:com|net|org|info|biz|io|dev|app|ai|co|me|xyz|site|online|top|link|click|ru"
    rf"|cn|uk|de|eu|рф|xn--[a-z0-9\-]+)(?::[0-9]{{1,5}}|[/?]){_PATH}"
    rf"|(?<![{_LETTER}.+_])[{_LETTER}.+_]++@[{_LETTER}]++(?:\\?\.[{_LETTER}]++)+",
    re.IGNORECASE,
)
_TRAILING: Final = ".,;:!?*_"

_DEFINITION: Final = re.compile(r"^([ \t>*+\-0-9.)]*\[(?:[^\[\]\\]|\\.){1,999}\]):", re.MULTILINE)
_SIGN: Final = re.compile(r"[<>=]")
_NAME: Final = re.compile(r"</?([A-Za-z]{1,40})")
_AUTOLINK: Final = re.compile(r"<[A-Za-z][A-Za-z0-9+.\-]{1,31}:(?!:)[^\s<>]*+>")
_ACTS: Final = frozenset(
    "applet area audio base basefont bgsound body button canvas details dialog embed fieldset form frame frameset head "
    "html iframe image img input isindex link listing marquee math meta noembed noframes noscript object picture "
    "plaintext portal script select slot source style svg template textarea title track video xmp".split()
)
"""Elements that load, run, hide or swallow what follows even without an attribute."""


def harmless(answer: str, question: str) -> str:
    """The answer without links, images, active markup and hidden characters.

    Args:
        answer: a model's text, or sentences of a passage.
        question: addresses that stand in it may stay, since the user brought them.
    """
    allowed = {match[0].rstrip(_TRAILING) for match in _ADDRESS.finditer(question)}
    plain = _decoded(visible(answer))
    plain = _IMAGE.sub(lambda match: match[1], plain)
    plain = _LINK.sub(lambda match: _labelled(match, allowed), plain)
    plain = _ADDRESS.sub(lambda match: _address(match, allowed), _LATEX.sub("", plain))
    plain = _DEFINITION.sub(r"\1 :", plain.replace("](", "] ("))
    return _without_tags(plain)


def visible(text: str) -> str:
    """A text without terminal escapes, control characters, direction marks and invisible characters."""
    return _ESCAPE.sub("", text).translate(_HIDDEN)


def _decoded(text: str) -> str:
    """Character references of what could be part of an address as their characters.

    A page that looks for addresses after decoding would find one in `&#104;ttp://`. A reference that decoding another
    one has put together is written such that it shows as it stands.
    """
    once = _REFERENCE.sub(lambda match: _character(match[0]), text)
    return _REFERENCE.sub(lambda match: match[0] if _character(match[0]) == match[0] else f"&amp;{match[0][1:]}", once)


def _character(reference: str) -> str:
    """What stands for a reference; names of signs outside of ASCII and of those that begin markup stay."""
    character = html.unescape(reference)
    if character == reference:
        return reference
    if character in _STAYS_WRITTEN:
        return _STAYS_WRITTEN[character]
    if not character.translate(_HIDDEN).strip():
        return reference if character == "\u00a0" and reference == "&nbsp;" else " "
    is_named = reference[1] != "#"
    return reference if is_named and not any(one.isascii() for one in character) else character


def _labelled(match: re.Match[str], allowed: set[str]) -> str:
    """A link as its words; a number keeps its brackets, since it may be a citation's mark."""
    label = f"[{match[1]}]" if re.fullmatch(r"[\d,;\s]+", match[1]) else match[1]
    return f"{label} ({match[2]})" if match[2] in allowed else label


def _address(match: re.Match[str], allowed: set[str]) -> str:
    found = match[0].rstrip(_TRAILING)
    return match[0] if found in allowed else REMOVED + match[0][len(found) :]


def _without_tags(text: str) -> str:
    """A space behind every "<" that begins something active: an element, a comment, an autolink."""
    parts: list[str] = []
    rest, assigned = len(text), False
    for match in reversed(list(_SIGN.finditer(text))):  # from the end: what matters is which sign comes next
        if match[0] != "<":
            assigned = match[0] == "="
        elif _begins_markup(text, match.start(), assigned):
            parts += [text[match.end() : rest], " "]
            rest = match.end()
    return "".join(reversed([*parts, text[:rest]]))


def _begins_markup(text: str, at: int, assigned: bool) -> bool:
    """Whether the "<" at a place begins something active; `assigned` when a "=" comes before the next ">"."""
    behind = text[at + 1 : at + 3]
    if behind[:1] in ("!", "?") or (behind[:1] == "/" and not (behind[1:].isascii() and behind[1:].isalpha())):
        return True
    name = _NAME.match(text, at)
    if name is None:
        return False
    return assigned or name[1].lower() in _ACTS or _AUTOLINK.match(text, at) is not None
