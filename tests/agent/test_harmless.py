"""No link, picture or element that only a passage or a model brought; ordinary words and code stay."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reasonir_agent.agent.harmless import REMOVED, harmless, visible
from tests.agent.injections import ACTIVE

QUESTION = "What does https://books.example/duck say about feet?"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("So. ![logo](https://evil.example/x.png?q=secret) It is.", "So. logo It is."),
        ("![a][b] and\n\n[b]: https://evil.example/x", f"![a][b] and\n\n[b] : {REMOVED}"),
        ("[1]: /steal", "[1] : /steal"),
        ("> - [long\nlabel]: /steal", "> - [long\nlabel] : /steal"),
        ("see [the page](https://evil.example/a) now", "see the page now"),
        ('see [the page](<https://evil.example/a b> "title") now', "see the page now"),
        ("[a](/relative) and [b](#part)", "a and b"),
        ("[a [b] c](evil)", "[a [b] c] (evil)"),
        ("[![p](https://evil.example/i)](https://evil.example/l)", "p"),
        ("as shown [1](https://evil.example)", "as shown [1]"),
        ("<img src=https://evil.example/x>", f"< img src={REMOVED}>"),
        ("<ImG\nsrc='//evil.example/x'>", "< ImG\nsrc='//evil.example/x'>"),
        ("<b onclick=steal()>x</b>", "< b onclick=steal()>x</b>"),
        ("<x/onclick=steal()>", "< x/onclick=steal()>"),
        ("an open end <div style=x", "an open end < div style=x"),
        ("<scr<script>ipt>x</script>", "<scr< script>ipt>x< /script>"),
        ("<!-- swallowed", "< !-- swallowed"),
        ("<plaintext>", "< plaintext>"),
        ("<https://evil.example/x>", f"<{REMOVED}>"),
        ("<skype:evil>", "< skype:evil>"),
        ("https://evil.example/x, www.evil.example.", f"{REMOVED}, {REMOVED}."),
        ("ftp://evil.example vscode://x steam://y", f"{REMOVED} {REMOVED} {REMOVED}"),
        ("javascript:alert(1)", f"{REMOVED})"),
        ("data:text/html;base64,AAAA", REMOVED),
        ("mail to x.y@evil.example now", f"mail to {REMOVED} now"),
        ("evil.com/?q=secret", REMOVED),
        ("go to xn--80ak6aa92e.com/a and аррӏе.com/a", f"go to {REMOVED} and {REMOVED}"),
        ("请看http://evil.example/路径，谢谢", f"请看{REMOVED}路径，谢谢"),
        ("http://例子.example/a", REMOVED),
        ("ht\u200btp://evil.example", REMOVED),
        ("http:\\\\evil.example and http\\://evil.example", f"{REMOVED} and {REMOVED}"),
        ("&#104;ttp://evil.example", REMOVED),
        ("http&colon;&sol;&#x2f;evil.example", REMOVED),
        ("&#106;avascript:x", REMOVED),
        ("&&#35;104;ttp", "&amp;#104;ttp"),
        ("&#91;x&#93;&#40;/evil&#41;", "x"),
        ("$\\href{https://evil.example}{x}$", f"$href{{{REMOVED}}}{{x}}$"),
        ("\\\\\\includegraphics{x}", "includegraphics{x}"),
        ("\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07click\x1b]8;;\x07", "red click"),
        ("\x1b]0;no end and more", "]0;no end and more"),
        ("a\u202eb\u2066c\ufeffd\x00e\x07f\x9bg", "abcdef"),
        ("hidden \U000e0041\U000e0042 words", "hidden  words"),
        ("half \ud83d of a pair", "half  of a pair"),
        ("one\r\ntwo\u2028three", "one\ntwo\nthree"),
        ("[^1] stands\n\n[^1]: https://evil.example", f"[^1] stands\n\n[^1] : {REMOVED}"),
    ],
)
def test_nothing_that_a_page_or_terminal_would_act_on_is_left(said: str, shown: str) -> None:
    assert harmless(said, QUESTION) == shown
    assert not ACTIVE.search(shown)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ducks lose 5 % of it [1], [2, 3]; p lies in [0, 1].",
        "vector<int> x; map<K, V> y; std::vector<std::string> z;",
        "if a < b and c > d: return a<b",
        "for (int i=0; i<9; i++) x += v[i];",
        "the data: they differ; file: main.py; In JavaScript: x; http is a protocol",
        "at 12:30, ratio 3:4, key:value, C:\\Users\\me, 2*x^2",
        "Node.js, README.md, math.pi/2, example.com, e.g. this",
        "H<sub>2</sub>O and <b>bold</b><br>",
        "&lt;img&gt; AT&amp;T caf&eacute; &nbsp; &unknown; a && b; x &y;",
        "Great![1][2] It works!",
        "鸭子的脚很冷。[1]",
        "می\u200cخواهم",
        "```python\nx = a[1:2]\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "see https://books.example/duck.",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert harmless(text, QUESTION) == text


class TestTheUsersAddress:
    def test_it_may_stay_as_an_address(self) -> None:
        assert harmless("[it](https://books.example/duck) says", QUESTION) == "it (https://books.example/duck) says"

    @pytest.mark.parametrize("end", ["?q=secret", "/more", "s", "#x", "@evil.example"])
    def test_a_longer_one_is_another(self, end: str) -> None:
        assert "books.example" not in harmless(f"see https://books.example/duck{end} now", QUESTION)

    @pytest.mark.parametrize("other", ["https://books.ex", "https://books.example/duc", "http://books.example/duck"])
    def test_a_shorter_one_is_another(self, other: str) -> None:
        assert harmless(f"see {other} now", QUESTION) == f"see {REMOVED} now"

    def test_it_loads_no_picture(self) -> None:
        assert harmless("![x](https://books.example/duck)", QUESTION) == "x"


PIECES = st.sampled_from(
    "http :// https: www. evil.com / ? # @ [ ] ( ) ]( ![ < > </ <img src= <a onx= = & &# &#104; &colon; ; &amp; javascript: "
    "data: text/html, \\ \\href { } | ` ` ! : . - _ * x 1 [1] [b]: 例 。 \u200b \u202e \x1b \x1b[ \x1b] \x07 \ud83d [link removed]"
    "".split(" ")
) | st.sampled_from([" ", "\n", "\t"])
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=14).map("".join)


@pytest.mark.slow
@settings(deadline=None, max_examples=1500)
@example("htthttp://xtp://evil.com")
@example("![![a](b)](c.d)")
@example("[link removed](/x.y)")
@example("&&#35;104;ttp://e.com")
@example("javascript:://")
@example("\\hrefjavascript:x")
@given(TEXTS)
def test_whatever_is_said_nothing_active_is_left(text: str) -> None:
    shown = harmless(text, "a question")
    assert not ACTIVE.search(shown)
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") for c in shown)
    assert harmless(shown, "a question") == shown
    assert visible(shown) == shown


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("abc XYZ äé 例子。，.!?\n'\"0123456789+*-=()"), max_size=80))
def test_words_and_sums_are_left_alone(text: str) -> None:
    assert harmless(text, "a question") == text


@pytest.mark.slow
@pytest.mark.parametrize(
    "garbage",
    ["<a", "[a](", "![", "[a](x.", "\\", "&#", "&#104;", "a.", "a@", "\x1b]", "\x90", "[\n", "<ab:", "www.", "](", "x"],
)
def test_a_megabyte_of_garbage_takes_seconds_not_hours(garbage: str) -> None:
    text = (garbage * (1_000_000 // len(garbage) + 1))[:1_000_000]
    began = time.process_time()
    harmless(text, QUESTION)
    assert time.process_time() - began < 10
