import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import InputError
from reasonir_trainer.synthesis.seeds import boilerplate
from reasonir_trainer.synthesis.seeds.boilerplate import (
    CODE,
    CONTENTS,
    LICENCE,
    LINKS,
    NAVIGATION,
    NUMBERS,
    REPEATED,
    code,
    contents,
    licence,
    links,
    navigation,
    repeated_lines,
    signs,
)
from reasonir_trainer.synthesis.seeds.filters import RULES, TOO_LONG, TOO_SHORT, first_reason, length, rules
from reasonir_trainer.synthesis.seeds.language import OTHER_LANGUAGE, UNKNOWN_LANGUAGE, language, language_rule

PROSE = """A duck's feathers stay dry because the barbules hook into each other and leave gaps that are filled with air.
Water cannot enter the gaps without bending its surface, and bending it costs energy (the surface tension is 0.072 N/m).
The oil from the preen gland keeps the barbules supple; it is not what repels the water. This was shown in 1944 by two
zoologists who washed feathers in ether: they still shed drops, but they broke after a few weeks.
"""

PASSES = {
    "prose": PROSE,
    "chinese": "鸭子的羽毛不会被水打湿。羽小枝互相钩住，中间的空隙里充满空气。水要进入这些空隙，就必须弯曲它的表面，而这需要能量。"
    * 2,
    "hindi": "बत्तख के पंख पानी में गीले नहीं होते। उनके बीच हवा भरी रहती है। पानी को अंदर जाने के लिए ऊर्जा चाहिए।",
    "thai": "ขนของเป็ดไม่เปียกน้ำเพราะมีอากาศอยู่ระหว่างเส้นขน น้ำต้องใช้พลังงานเพื่อเข้าไปในช่องว่างเหล่านั้น " * 8,
    "on a licence": """The GNU General Public License asks whoever hands on a program to hand on its source. Economists have
asked why firms accept this. One reading is that it works as a commitment: a firm that cannot close the source later need
not be feared by those who contribute now. The same mechanism explains why some firms give patents away. Permissive terms
make no such promise, and yet they are used more. A model by two authors from Toulouse derives both from career concerns.
""",
    "a sentence on a licence": "The MIT License is short, and that is its merit: a firm's lawyer reads it in a minute and has "
    "nothing to fear. All rights reserved, by contrast, was once needed in the Americas and has meant nothing since 2000.",
    "mathematics": r"""Let $f \colon [a,b] \to \mathbb{R}$ be continuous and let $\{x_n\}_{n=1}^{\infty}$ be a sequence in $[a,b]$.
By compactness it has a subsequence that converges to some $x$. Then $\lim_{k \to \infty} f(x_{n_k}) = f(x)$, since
continuity lets us exchange $f$ and the limit. Hence \[ \sup_{t \in [a,b]} f(t) < \infty, \] for otherwise we could choose
$x_n$ with $f(x_n) > n$, and no subsequence of these values would converge.""",
    "list in sentences": "\n".join(f"{n}. Step {n} takes the water away, because salt binds it." for n in range(1, 12)),
    "a few links": f"{PROSE}\nSee https://example.org/ducks and [the review](https://example.org/feathers) for more.",
    "numbers in prose": "In 2019 the trade grew by 4.1% to 350 billion, in 2020 it fell by 9.6% to 316 billion. The fall was "
    "steeper than in 2009 (7.2%), because ports closed within 3 weeks, from 11 March to 1 April, in 41 countries.",
    "about code": """The loop reads past the end because `i <= n` counts one too many. With four elements the last index is
three, and `a[4]` belongs to something else. The compiler need not warn; the standard leaves the result undefined. Write
`i < n` instead, or let the language count: `for x in a` has no index that could be wrong.""",
    "hard wrapped": "\n".join(PROSE.split(". ")).replace(", ", ",\n"),
    "verse": "The duck sat still upon the pond,\nThe water pearled away.\nWhat holds the drop, what breaks the bond?\n"
    "It is the air, they say.\nThe oil is but a keeper's hand.\nThe feather does the rest.",
}

FAILS = {
    "mit": (licence, LICENCE, """Permission is hereby granted, free of charge, to any person obtaining a copy of this software, to deal
in the Software without restriction. The above copyright notice and this permission notice shall be included in all copies.
THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED."""),
    "notice": (licence, LICENCE, """All rights reserved. Names are trademarks of their respective owners. By going on you accept our
terms of use and our privacy policy; we use cookies."""),
    "menu": (navigation, NAVIGATION, "Home\nAbout us\nProducts\nContact\nPress\nJobs\nSign in\nHelp\nSearch\n"),
    "words": (navigation, NAVIGATION, " ".join(f"{a}{b}" for a in ("duck", "swan", "goose") for b in "abcdefghijklmnopqrstuvwxyz")),
    "dotted": (contents, CONTENTS, "\n".join(f"{n}.1 The plumage of ducks ........ {n * 12}" for n in range(1, 9))),
    "numbered": (contents, CONTENTS, "\n".join(f"Chapter {n} The plumage of ducks {n * 12}" for n in range(1, 9))),
    "addresses": (links, LINKS, "\n".join(f"Ducks, part {n}: https://example.org/birds/ducks/part-{n}.html" for n in range(6))),
    "markdown links": (links, LINKS, "\n".join(f"* [Ducks, part {n}](ducks/part-{n}.html)" for n in range(6))),
    "table": (signs, NUMBERS, "\n".join(f"Row {n} 12.{n} 0.{n}81 1{n}.002 99{n} 2020-01-0{n}" for n in range(1, 9))),
    "c": (signs, CODE, "for (i = 0; i < n; i++) { a[i] = b[i] * (c[i] + d[i]); if (a[i] > 0) { s += a[i]; } }"),
    "python": (code, CODE, "import os\n\nclass Duck(Bird):\n    wet = False\n    def swim(self, pond):\n        self.place = pond\n"
    "        return self.place\n\n    def fly(self):\n        print(self.name)\n"),
    "yaml": (code, CODE, "\n".join(f"threshold_{n} = value_of_the_parameter_{n}" for n in range(9))),
    "footer": (repeated_lines, REPEATED, "Page of the yearly report\nDucks were counted.\n" * 4 + "Swans were not."),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSES)
def test_what_is_worth_asking_about_passes_every_rule(name):
    assert {rule.__name__: rule(PASSES[name]) for rule in RULES} == dict.fromkeys(rule.__name__ for rule in RULES)


@pytest.mark.parametrize("name", FAILS)
def test_what_is_no_prose_is_refused_by_its_rule(name):
    rule, reason, text = FAILS[name]
    assert rule in RULES
    assert rule(text) == reason
    assert first_reason(text, RULES) is not None


def test_every_rule_is_shown_on_a_text_that_it_refuses():
    assert {rule for rule, _, _ in FAILS.values()} == set(RULES)


def test_every_phrase_of_a_licence_holds_a_telltale():
    for phrase in boilerplate._PHRASES:
        assert any(one in " ".join(phrase) for one in boilerplate._TELLTALES), phrase


def test_lengths_are_words_and_characters_of_scripts_without_spaces():
    assert length("one two three", least=3, most=3) is None
    assert length("one two", least=3, most=9) == TOO_SHORT
    assert length("one two three four", least=1, most=3) == TOO_LONG
    assert length("鸭子的羽毛", least=5, most=5) is None


def test_the_first_reason_stands():
    asked = rules(least=2, most=1000, languages=("en",))
    assert first_reason("Duck", asked) == TOO_SHORT
    assert first_reason(FAILS["mit"][2], asked) == LICENCE
    assert first_reason(PASSES["chinese"], asked) == OTHER_LANGUAGE
    assert first_reason(PROSE, asked) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (PROSE, "en"),
        (PASSES["chinese"], "zh"),
        (PASSES["hindi"], "hi"),
        ("Die Federn der Ente bleiben trocken, weil zwischen ihnen Luft steht, die das Wasser nicht verdrängt.", "de"),
        ("Las plumas del pato no se mojan porque entre ellas queda aire que el agua no puede desplazar.", "es"),
        ("12345 67890 !!! ###", ""),
        ("", ""),
    ],
)
def test_languages_are_told_apart(text, code):
    assert language(text) == code


def test_a_user_may_name_a_language_in_several_ways():
    assert language_rule(("zh-CN",))(PASSES["chinese"]) is None
    assert language_rule(("de", "EN"))(PROSE) is None
    assert language_rule(("de",))(PROSE) == OTHER_LANGUAGE
    assert language_rule(("de",))("12345 67890") == UNKNOWN_LANGUAGE
    with pytest.raises(InputError, match=r"unknown language 'klingon'; known are .*de, .*en"):
        language_rule(("en", "klingon"))


def test_no_language_asks_for_no_model():
    assert len(rules(least=1, most=2)) == len(RULES) + 1


texts = st.one_of(
    st.text(max_size=400),
    st.lists(st.sampled_from([*" \n\t.;{}[]()=\\$|#0123…", "https://a.b/", "this license", "duck", "[a](b)"]), max_size=200).map("".join),
    st.lists(st.sampled_from([*PASSES.values(), *(text for _, _, text in FAILS.values())]), max_size=3).map("\n".join),
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(texts)
def test_no_text_makes_a_rule_fail(text):
    for rule in (*RULES, language_rule(("en",))):
        assert rule(text) is None or rule(text) in {
            CODE, CONTENTS, LICENCE, LINKS, NAVIGATION, NUMBERS, REPEATED, OTHER_LANGUAGE, UNKNOWN_LANGUAGE,
        }  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([*PASSES.values(), *(text for _, _, text in FAILS.values())]), st.randoms())
def test_blanks_between_words_and_blank_lines_change_nothing(text, chance):
    spaced = "\n".join(
        chance.choice(["", "\n", " \n"])
        + chance.choice(["", "  ", "\t"])
        + "".join(word + chance.choice([" ", "  ", " \t "]) for word in line.split())
        for line in text.splitlines()
    )
    for rule in RULES:
        assert rule(spaced) == rule(text), rule.__name__
    assert length(spaced, least=60, most=80) == length(text, least=60, most=80)
    assert language(spaced) == language(text)


@settings(deadline=None, max_examples=150)
@given(texts, st.integers(1, 30))
def test_more_of_what_is_refused_never_lets_a_text_pass(text, more):
    grown = {
        licence: text + "\n" + "this license " * more,
        signs: text + "\n" + "{ 1 ; 2 } " * more,
        links: text + "\n" + "https://example.org/duck " * more,
        contents: text + "\n" + "1.2 The plumage of ducks .... 7\n" * more,
        code: text + "\n" + "self.duck = pond(1);\n" * more,
    }
    for rule, longer in grown.items():
        if rule(text) is not None:
            assert rule(longer) is not None, rule.__name__
    lines = text.splitlines()
    if repeated_lines(text) is not None:
        again = random.Random(more).choice([line for line in lines if lines.count(line) > 1] or lines)
        assert repeated_lines("\n".join([*lines, *[again] * more])) is not None


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=200), st.text(max_size=100), st.integers(0, 30), st.integers(0, 30))
def test_length_is_monotone(text, more, least, most):
    if length(text, least=least, most=10**6) is None:
        assert length(f"{text} {more}", least=least, most=10**6) is None
    if length(text, least=0, most=most) == TOO_LONG:
        assert length(f"{text} {more}", least=0, most=most) == TOO_LONG


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ["{", "[", "](", "[a](", "$", "\\[", "\\(", "a = ", "a(", ". ", "1 ", "http://", "'", "if ", "x.", "…"]
)
def test_hostile_repetition_takes_linear_time(piece):
    for text in (piece * 20_000, (piece * 60 + "\n") * 300):
        for rule in RULES:
            rule(text)
