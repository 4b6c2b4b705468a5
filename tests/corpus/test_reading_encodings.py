"""Texts of some sentences in the encodings that files are found in."""

from __future__ import annotations

import pytest

from reasonir_agent.corpus.reading import Unreadable, decode, read_file

SENTENCES = {
    "Chinese": "鸭子的脚为什么不会冻在冰上？因为脚里的血管形成逆流热交换，使脚的温度接近冰点。这样热量损失很小。",
    "traditional Chinese": "鴨子的腳為什麼不會凍在冰上？因為腳裡的血管形成逆流熱交換，使腳的溫度接近冰點。這樣熱量損失很小。",
    "Japanese": "アヒルの足はなぜ氷に凍りつかないのでしょうか。足の血管が熱を交換し、足の温度を氷点近くに保っているからです。",
    "Korean": "오리의 발은 왜 얼음에 얼어붙지 않을까요? 발의 혈관이 열을 교환하여 발의 온도를 어는점 가까이로 유지하기 때문입니다.",
    "Russian": "Почему лапы уток не примерзают ко льду? Сосуды в лапах обмениваются теплом, и лапы остаются почти холодными.",
    "Ukrainian": "Чому лапи качок не примерзають до льоду? Судини в лапах обмінюються теплом, і лапи лишаються майже холодними.",
    "Greek": "Γιατί τα πόδια της πάπιας δεν παγώνουν; Τα αγγεία στα πόδια ανταλλάσσουν θερμότητα. Άρα χάνεται λίγη.",
    "Hebrew": "מדוע רגלי הברווזים אינן קופאות על הקרח? כלי הדם ברגליים מחליפים חום, ולכן הרגליים נשארות קרות כמעט תמיד.",
    "Arabic": "لماذا لا تتجمد أقدام البط على الجليد؟ لأن الأوعية الدموية في القدم تتبادل الحرارة فتبقى القدم باردة.",
    "Thai": "ทำไมเท้าของเป็ดไม่ติดกับน้ำแข็ง เพราะหลอดเลือดในเท้าแลกเปลี่ยนความร้อนกัน เท้าจึงเย็นอยู่เสมอ",
    "Polish": "Dlaczego stopy kaczek nie przymarzają do lodu? Naczynia krwionośne wymieniają ciepło, więc stopy są prawie zimne.",
    "Czech": "Proč kachnám nepřimrzají nohy k ledu? Cévy v nohou si vyměňují teplo, a nohy proto zůstávají téměř studené.",
    "Hungarian": "Miért nem fagy a kacsák lába a jéghez? A lábukban lévő erek hőt cserélnek, így a láb hűvös marad, és kevés hő vész el.",
    "Turkish": "Ördeklerin ayakları neden buza yapışıp donmaz? Ayaklarındaki damarlar ısıyı değiştirir, böylece ayaklar soğuk kalır.",
    "Lithuanian": "Kodėl ančių kojos neprišąla prie ledo? Kojų kraujagyslės keičiasi šiluma, todėl kojos išlieka beveik šaltos.",
    "French": "Pourquoi les pattes des canards ne gèlent-elles pas sur la glace ? Les vaisseaux échangent la chaleur, ça suffit.",
    "German": "Warum frieren Entenfüße nicht am Eis fest? Die Gefäße tauschen Wärme aus, und so bleiben die Füße fast kalt.",
    "Spanish": "¿Por qué no se congelan los pies de los patos? Los vasos intercambian calor; así, el pie está casi frío. ¡Qué año!",
    "Portuguese": "Por que os pés dos patos não congelam? Os vasos trocam calor e, então, os pés ficam quase à temperatura do gelo.",
    "Danish": "Hvorfor fryser ænders fødder ikke fast på isen? Årerne udveksler varme, og så bliver fødderne næsten kølige.",
    "Swedish": "Varför fryser inte ändernas fötter fast på isen? Ådrorna utbyter värme, och därför förblir fötterna nästan kalla.",
    "Finnish": "Miksi ankkojen jalat eivät jäädy jäähän? Verisuonet vaihtavat lämpöä, ja siksi jalat pysyvät lähes kylminä yötä päivää.",
}
WRITTEN = {
    "Chinese": ["gb18030", "gbk", "gb2312"],
    "traditional Chinese": ["big5", "cp950"],
    "Japanese": ["shift_jis", "cp932", "euc_jp", "iso2022_jp"],
    "Korean": ["euc_kr", "cp949"],
    "Russian": ["koi8_r", "cp1251", "iso8859_5", "cp866"],
    "Ukrainian": ["koi8_u", "cp1251"],
    "Greek": ["cp1253", "iso8859_7"],
    "Hebrew": ["cp1255", "iso8859_8"],
    "Arabic": ["cp1256"],
    "Thai": ["cp874"],
    "Polish": ["cp1250", "iso8859_2"],
    "Czech": ["cp1250", "iso8859_2"],
    "Hungarian": ["cp1250", "iso8859_2"],
    "Turkish": ["cp1254", "iso8859_9"],
    "Lithuanian": ["cp1257"],
    **{name: ["cp1252", "iso8859_1", "iso8859_15"] for name in ("French", "German", "Spanish", "Portuguese", "Danish")},
    **{name: ["cp1252", "iso8859_1", "iso8859_15", "mac_roman", "cp850"] for name in ("Swedish", "Finnish")},
}
CASES = [(language, encoding) for language, encodings in WRITTEN.items() for encoding in encodings]


@pytest.mark.parametrize(("language", "encoding"), CASES)
def test_some_sentences_are_read_as_they_were_written(language: str, encoding: str) -> None:
    text = SENTENCES[language]
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(("language", "encoding"), CASES)
def test_a_page_of_them_with_english_around_is_read_as_it_was_written(language: str, encoding: str) -> None:
    text = f"Why do the feet of ducks not freeze?\n\n{SENTENCES[language]}\n" * 30
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_every_language_is_read_from_unicode(language: str, encoding: str) -> None:
    text = SENTENCES[language] + "\n"
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("mark", [b"\xff\xfe\0\0", b"\0\0\xfe\xff"], ids=["little", "big"])
def test_utf_32_is_known_by_its_mark(mark: bytes) -> None:
    text = "Größe 中 😀"
    assert decode(mark + text.encode("utf-32-le" if mark[0] else "utf-32-be")) == text


@pytest.mark.parametrize(
    "text",
    [
        "naïve",
        "Das Café öffnet früh.",
        "El niño comió piñas en España mañana.",
        "Størrelsen på øen er større end før.",
        "Voilà l'été : 25 € déjà.",
        "“quoted” – and … more",
        "Zürich",
        "50 °C ± 2 µm",
        "© 2020 Müller & Söhne®",
        "señor",
        "à",
    ],
)
def test_a_short_western_text_is_read_as_windows_1252(text: str) -> None:
    assert decode(text.encode("cp1252")) == text


def test_the_few_lines_that_are_not_english_decide_for_a_large_file() -> None:
    text = "All of this is ASCII.\n" * 5000 + SENTENCES["Polish"] + "\n"
    assert decode(text.encode("iso8859_2")) == text


@pytest.mark.parametrize("end", ["", "\n"])
def test_they_are_found_far_behind_the_beginning(end: str) -> None:
    text = f"All of this is ASCII, {end}" * 100_000 + SENTENCES["Polish"] + "\n"
    assert decode(text.encode("iso8859_2")) == text


def test_signs_without_a_width_are_text() -> None:
    text = "می\u200cروم " * 10
    assert decode(text.encode("utf-16-le")) == text


@pytest.mark.parametrize(
    "text", ["Почему лапы уток не примерзают ко льду?", "На берегу озера много людей ловит рыбу."], ids=["case", "kana"]
)
@pytest.mark.parametrize("encoding", ["koi8_r", "cp1251", "cp866"])
def test_one_russian_sentence_is_enough(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("languages", "encodings"),
    [
        (["French", "German", "Spanish", "Portuguese", "Danish", "Swedish", "Finnish"], ["cp1252", "iso8859_15"]),
        (["Polish", "Czech", "Hungarian"], ["cp1250", "iso8859_2"]),
    ],
    ids=["western", "central"],
)
def test_a_text_in_several_languages_is_read(languages: list[str], encodings: list[str]) -> None:
    text = "\n".join(SENTENCES[language] for language in languages)
    for encoding in encodings:
        assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["cp1250", "iso8859_2"])
def test_a_hungarian_sentence_is_not_taken_for_portuguese(encoding: str) -> None:
    text = "A végleges szakértői jelentés szerint a földcsúszásért az első önkormányzat felelős."
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["cp1253", "iso8859_7"])
def test_greek_quotation_marks_are_no_letters(encoding: str) -> None:
    text = "Άρα ’ναι ο Άνεμος, το ‘Μήνυμα’ και ο ‘Κώδικας’. ‘Ή’, πώς ο Αρίσταρχος."
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["shift_jis", "euc_jp"])
def test_japanese_between_much_latin_is_read(encoding: str) -> None:
    text = "<title>Perl 5.8.x のハードなソフトの話</title><link>a</link><b>ネット</b> Unicode ショップ"
    assert decode(text.encode(encoding)) == text


def test_broken_bytes_in_utf8_do_not_make_it_another_encoding() -> None:
    text = SENTENCES["French"] + SENTENCES["Chinese"]
    assert decode(text.encode() + b"\xe4\xb8") == text + "\ufffd"
    assert decode(b"\xff" + text.encode()) == "\ufffd" + text


@pytest.mark.parametrize(
    "content",
    [bytes(range(1, 32)) * 20, b"names\0value\0" * 8, bytes(3) + b"abc", b"a\0b\0\0\0\1\0"],
    ids=["control characters", "NUL between words", "NUL first", "NUL in both halves"],
)
def test_bytes_that_are_no_text_are_refused(content: bytes) -> None:
    with pytest.raises(Unreadable, match=r"^is no text \(it holds (NUL bytes|control characters)\)$"):
        decode(content)


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="windows-1251">', "cp1251"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=KOI8-R">', "koi8_r"),
        ('<?xml version="1.0" encoding="ISO-8859-5"?>', "iso8859_5"),
        ('<meta charset="utf-8">', "cp1251"),
        ('<meta charset="koi8-r">', "utf-8"),
        ('<meta charset="rot13">', "cp1251"),
        ('<meta charset="no such">', "cp1251"),
        ("", "cp1251"),
    ],
)
@pytest.mark.parametrize("name", ["page.html", "page.xhtml"])
def test_a_page_is_read_in_the_encoding_that_it_declares_where_it_is_in_it(name: str, head: str, encoding: str) -> None:
    text = SENTENCES["Russian"]
    (document,), _ = read_file(name, f"{head}<p>{text}</p>".encode(encoding))
    assert document.text == f"{text}\n"


def test_a_page_declares_names_as_browsers_read_them() -> None:
    (document,), _ = read_file("a.html", '<meta charset="iso-8859-1"><p>“quoted” €</p>'.encode("cp1252"))
    assert document.text == "“quoted” €\n"
    (document,), _ = read_file("a.html", '<meta charset="gb2312"><p>镕</p>'.encode("gbk"))  # not in GB 2312
    assert document.text == "镕\n"
