from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasonir_agent.corpus import Corpus, IndexOptions, IndexReport, encoding, indexing
from reasonir_agent.corpus.reading import Changing, Fields
from reasonir_agent.corpus.report import Step
from reasonir_agent.encoder.known import MULTILINGUAL_ENCODER
from reasonir_agent.errors import InputError
from reasonir_agent.stores.filters import parse_where
from reasonir_agent.testing import FakeEncoder, write_corpus
from reasonir_agent.types import Skipped

Contents = Callable[[Corpus], dict[str, Any]]

LONG = " ".join(f"Sentence number {n} is about topic {n}." for n in range(100))  # 8 tokens each: four passages


def counts(report: IndexReport) -> dict[str, int]:
    return {key: value for key, value in report.as_json().items() if isinstance(value, int)}


def sources(corpus: Corpus) -> list[str]:
    return sorted({one.source for one in corpus.passages(corpus.store.database.passage_ids()).values()})


def test_the_first_run_encodes_everything_and_the_second_nothing(
    folder: Path, corpus: Corpus, encoder: FakeEncoder, contents: Contents
) -> None:
    write_corpus(folder, {"a.txt": "Water flows.", "b/c.md": "# Ice\n\nIt floats."})
    report = corpus.index(["."])
    assert counts(report) == {"files": 2, "passages": 2, "encoded": 2, "unchanged": 0, "removed": 0}
    assert report.skipped == report.warnings == []
    assert report.seconds > 0
    assert sorted(encoder.encoded) == ["# Ice\n\nIt floats.", "Water flows."]
    before = contents(corpus)

    again = corpus.index(["."])
    assert counts(again) == {"files": 2, "passages": 2, "encoded": 0, "unchanged": 2, "removed": 0}
    assert len(encoder.encoded) == 2
    assert contents(corpus) == before


def test_vectors_are_those_of_the_encoded_texts(folder: Path, corpus: Corpus, contents: Contents) -> None:
    write_corpus(folder, {"a.md": f"# Top\n\n{LONG}", "b.txt": "Water flows."})
    corpus.index(["."])
    held = contents(corpus)
    assert len(held["passages"]) > 4
    for one, passage in held["passages"].items():
        expected = FakeEncoder().encode_documents([passage.encoded_text])[0]
        np.testing.assert_array_equal(np.float32(held["vectors"][one]), expected)


def test_a_changed_file_is_encoded_anew_where_it_changed(folder: Path, corpus: Corpus, encoder: FakeEncoder) -> None:
    write_corpus(folder, {"a.md": "# One\n\nFirst.\n\n# Two\n\nSecond.", "b.txt": "Water."})
    corpus.index(["."])
    write_corpus(folder, {"a.md": "# One\n\nFirst.\n\n# Two\n\nAnother."})
    assert counts(corpus.index(["."])) == {"files": 2, "passages": 3, "encoded": 1, "unchanged": 2, "removed": 1}
    assert encoder.encoded[3:] == ["# Two\n\nAnother."]
    assert {hit.passage.text for hit in corpus.search("Second Another", 9)} == {
        "# One\n\nFirst.",
        "# Two\n\nAnother.",
        "Water.",
    }


def test_a_removed_file_is_forgotten(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"a.txt": "Water.", "b.txt": LONG})
    before = corpus.index(["."]).passages
    (folder / "b.txt").unlink()
    assert counts(corpus.index(["."])) == {
        "files": 1,
        "passages": 1,
        "encoded": 0,
        "unchanged": 1,
        "removed": before - 1,
    }
    assert sources(corpus) == ["a.txt"]
    assert corpus.store.database.document_text("b.txt") is None


def test_a_moved_file_costs_no_encoding(folder: Path, corpus: Corpus, encoder: FakeEncoder) -> None:
    write_corpus(folder, {"a.txt": "Water.", "b.txt": "Ice."})
    corpus.index(["."])
    (folder / "b.txt").rename(folder / "c.txt")
    assert counts(corpus.index(["."])) == {"files": 2, "passages": 2, "encoded": 1, "unchanged": 1, "removed": 1}
    assert sources(corpus) == ["a.txt", "c.txt"]
    assert len(encoder.encoded) == 2


def test_equal_texts_are_encoded_once_and_stay_two_passages(
    folder: Path, corpus: Corpus, encoder: FakeEncoder, contents: Contents
) -> None:
    write_corpus(folder, {"a.txt": "Water.", "b.txt": "Water."})
    report = corpus.index(["."])
    assert counts(report) == {"files": 2, "passages": 2, "encoded": 2, "unchanged": 0, "removed": 0}
    assert encoder.encoded == ["Water."]
    one, other = contents(corpus)["vectors"].values()
    assert one == other
    (folder / "a.txt").unlink()  # the vector stays for the other
    corpus.index(["."])
    assert [hit.passage.source for hit in corpus.search("Water")] == ["b.txt"]


def test_two_roots_are_one_corpus_and_neither_removes_the_other(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"a/1.txt": "Water.", "b/2.txt": "Ice.", "ab/3.txt": "Steam."})
    assert counts(corpus.index(["a", "b"])) == {
        "files": 2,
        "passages": 2,
        "encoded": 2,
        "unchanged": 0,
        "removed": 0,
    }
    assert counts(corpus.index(["b"])) == {"files": 1, "passages": 2, "encoded": 0, "unchanged": 1, "removed": 0}
    assert counts(corpus.index(["ab"])) == {"files": 1, "passages": 3, "encoded": 1, "unchanged": 0, "removed": 0}
    (folder / "a/1.txt").unlink()
    write_corpus(folder, {"a/4.txt": "Snow."})
    assert corpus.index(["b", "ab"]).removed == 0
    assert corpus.index(["a"]).removed == 1
    assert sources(corpus) == ["a/4.txt", "ab/3.txt", "b/2.txt"]


@pytest.mark.parametrize(
    "paths",
    [
        ["n/a.txt", "n/a.txt"],
        ["n", "n/a.txt"],
        ["n/a.txt", "n"],
        ["n", "n/"],
        ["./n", "n"],
        ["n", "."],
    ],
)
def test_a_file_that_is_reached_twice_is_one_file(folder: Path, corpus: Corpus, paths: list[str]) -> None:
    write_corpus(folder, {"n/a.txt": "Water."})
    found = corpus.index(paths)
    assert counts(found) == {"files": 1, "passages": 1, "encoded": 1, "unchanged": 0, "removed": 0}
    assert corpus.index(paths).unchanged == 1
    (folder / "n/a.txt").unlink()
    write_corpus(folder, {"n/b.txt": "Ice."})
    assert corpus.index(["n"]).removed == 1
    assert sources(corpus) == ["n/b.txt"]


def test_one_path_need_not_be_a_list(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"a.txt": "Water."})
    assert corpus.index("a.txt").files == corpus.index(Path("a.txt")).files == 1


def test_a_hidden_file_that_was_named_stays_when_its_folder_is_indexed(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"a.txt": "Water.", ".hidden.txt": "Ice."})
    corpus.index([".hidden.txt"])
    assert corpus.index(["."]).removed == 0
    assert sources(corpus) == [".hidden.txt", "a.txt"]
    (folder / ".hidden.txt").unlink()
    assert corpus.index(["."]).removed == 1


def test_what_cannot_be_read_is_skipped_and_named(
    folder: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(
        folder, {"a.txt": "Water.", "b.png": "x", "c.txt": " ", "d.jsonl": '{"text": "Ice."}\nbroken', "e.txt": "e"}
    )
    refuse(monkeypatch, "e.txt", PermissionError(13, "Permission denied", "e.txt"))
    report = corpus.index(["."])
    assert report.skipped == [
        Skipped("b.png", "no reader for .png"),
        Skipped("c.txt", "is empty"),
        Skipped("d.jsonl:2", "is not valid JSON"),
        Skipped("e.txt", "Permission denied"),
    ]
    assert counts(report) == {"files": 2, "passages": 2, "encoded": 2, "unchanged": 0, "removed": 0}
    assert report.as_json()["skipped"][0] == {"path": "b.png", "reason": "no reader for .png"}


def test_an_indexed_file_that_becomes_empty_is_removed_and_named(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"a.txt": "Water.", "b.txt": "Ice."})
    corpus.index(["."])
    write_corpus(folder, {"b.txt": "\n"})
    report = corpus.index(["."])
    assert (report.removed, report.skipped) == (1, [Skipped("b.txt", "is empty")])
    assert sources(corpus) == ["a.txt"]


def test_an_indexed_file_that_cannot_be_read_for_a_while_stays_as_it_was(
    folder: Path, corpus: Corpus, encoder: FakeEncoder, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(folder, {"a.txt": "Water.", "b.txt": "Ice."})
    corpus.index(["."])
    before = contents(corpus)
    with monkeypatch.context() as patched:
        refuse(patched, "b.txt", PermissionError(13, "Permission denied", "b.txt"))
        report = corpus.index(["."])
        assert counts(report) == {"files": 2, "passages": 2, "encoded": 0, "unchanged": 2, "removed": 0}
        assert report.skipped == [Skipped("b.txt", "Permission denied; what was indexed of it before is kept")]
    assert corpus.index(["."]).skipped == []
    assert contents(corpus) == before
    assert len(encoder.encoded) == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"^nothing to index: '\.' holds no files$"),
        ({".hidden.txt": "h"}, r"^nothing to index: '\.' holds no files$"),
        (
            {"a.png": "x", "b.exe": "x", "c.txt": ""},
            r"^nothing to index under '\.': none of 3 files could be read \(a\.png: no reader for \.png; b\.exe: ",
        ),
    ],
)
def test_nothing_to_index_is_refused(folder: Path, corpus: Corpus, files: dict[str, str], message: str) -> None:
    write_corpus(folder, files)
    with pytest.raises(InputError, match=message):
        corpus.index(["."])
    with pytest.raises(InputError, match="no file or folder was given"):
        corpus.index([])


def test_a_missing_path_is_refused_before_anything_changes(folder: Path, corpus: Corpus, contents: Contents) -> None:
    write_corpus(folder, {"a/1.txt": "Water.", "b/2.txt": "Ice."})
    corpus.index(["a"])
    before = contents(corpus)
    (folder / "a/1.txt").unlink()
    with pytest.raises(InputError, match="no file or folder 'nowhere'"):
        corpus.index(["a", "b", "nowhere"])
    assert contents(corpus) == before


def test_a_path_with_nothing_in_it_leaves_the_rest_of_a_store_alone(
    folder: Path, corpus: Corpus, contents: Contents
) -> None:
    write_corpus(folder, {"a/1.txt": "Water."})
    corpus.index(["a"])
    before = contents(corpus), corpus.store.database.generation
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="'empty' holds no files"):
        corpus.index(["empty"])
    assert (contents(corpus), corpus.store.database.generation) == before


def test_a_folder_that_became_empty_empties_its_part_of_the_store_and_says_so(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"a/1.txt": "Water.", "b/2.txt": "Ice."})
    corpus.index(["a", "b"])
    (folder / "a/1.txt").unlink()
    report = corpus.index(["a"])
    assert counts(report) == {"files": 0, "passages": 1, "encoded": 0, "unchanged": 0, "removed": 1}
    assert report.warnings == ["nothing to index: 'a' holds no files; what was indexed there was removed"]
    assert [hit.passage.source for hit in corpus.search("water")] == ["b/2.txt"]
    (folder / "b/2.txt").unlink()
    assert corpus.index(["b"]).passages == 0
    assert corpus.search("water") == []
    write_corpus(folder, {"a/1.txt": "Water."})
    assert corpus.index(["a"]).encoded == 1
    assert [hit.passage.source for hit in corpus.search("water")] == ["a/1.txt"]


class StopsAfter(FakeEncoder):
    """Is interrupted when it is asked for more than a number of texts."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def encode_documents(self, texts: Sequence[str], /) -> Any:
        if len(self.encoded) + len(texts) > self._most:
            raise KeyboardInterrupt
        return super().encode_documents(texts)


@pytest.mark.parametrize("most", [0, 1, 7, 12, 25, 38])
def test_an_interrupted_run_that_is_started_again_ends_in_the_same_state(
    folder: Path, tmp_path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(indexing, "_TEXTS_AT_ONCE", 9)
    monkeypatch.setattr(encoding, "_LARGEST_GROUP", 3)
    write_corpus(folder, {f"{n:02}.txt": f"Text {n} of a topic." for n in range(30)} | {"long.txt": LONG * 2})
    with Corpus(tmp_path / "whole", FakeEncoder(), create=True) as whole:
        whole.index(["."])
        expected = contents(whole)
        total = len(whole.encoder.encoded)  # type: ignore[attr-defined]

    first = StopsAfter(most)
    with Corpus(tmp_path / "cut", first, create=True) as cut, pytest.raises(KeyboardInterrupt):
        cut.index(["."])
    second = FakeEncoder()
    with Corpus(tmp_path / "cut", second, create=True) as resumed:
        resumed.index(["."])
        assert contents(resumed) == expected
        assert [hit.passage.id for hit in resumed.search("topic 7")]
    assert len(first.encoded) + len(second.encoded) == total  # nothing was lost, nothing encoded twice
    assert total == 39 > most


def test_a_store_that_was_copied_elsewhere_is_the_same_store(folder: Path, tmp_path: Path, contents: Contents) -> None:
    write_corpus(folder, {"a.txt": LONG})
    with Corpus(tmp_path / "one", FakeEncoder(), create=True) as one:
        one.index(["."])
        expected = contents(one), [hit.as_json() for hit in one.search("topic 50")]
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    shutil.rmtree(tmp_path / "one")
    with Corpus(tmp_path / "two", FakeEncoder()) as two:
        assert (contents(two), [hit.as_json() for hit in two.search("topic 50")]) == expected


def test_another_recipe_reads_every_file_again_and_encodes_only_new_texts(
    folder: Path, corpus: Corpus, encoder: FakeEncoder, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(folder, {"a.txt": "Water."})
    corpus.index(["."])
    monkeypatch.setattr(indexing, "READERS_VERSION", indexing.READERS_VERSION + 1)
    before = contents(corpus)["files"]
    assert counts(corpus.index(["."])) == {"files": 1, "passages": 1, "encoded": 0, "unchanged": 1, "removed": 0}
    assert contents(corpus)["files"] != before
    assert encoder.encoded == ["Water."]


def test_a_corpus_in_a_language_that_the_encoder_does_not_know_is_noted(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"a.txt": "水往低处流。", "b.txt": "冰浮在水面上。"})
    (warning,) = corpus.index(["."]).warnings
    # 4 tokens: two runs of Chinese, and two full stops, which are foreign too
    assert warning.startswith("the encoder fake does not know 100% of this corpus")
    assert f"--encoder {MULTILINGUAL_ENCODER} " in warning
    assert corpus.store.is_foreign
    write_corpus(folder, {f"{n}.txt": "Plain English words. " * 20 for n in range(9)})
    corpus.index(["."])
    assert not corpus.store.is_foreign


def test_a_mixed_corpus_is_told_which_share_is_not_understood(folder: Path, corpus: Corpus) -> None:
    write_corpus(
        folder, {f"{n}.txt": f"Plain English words, text {n}. " * 5 for n in range(9)} | {"zh.txt": "水往低处流。"}
    )
    (warning,) = corpus.index(["."]).warnings
    assert warning.startswith("about 10% of the passages are in a script that the encoder fake does not know")
    assert f"--encoder {MULTILINGUAL_ENCODER} " in warning
    assert not corpus.store.is_foreign


def test_an_english_corpus_is_not_warned_about(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"a.txt": "Water flows, naïvely, at 5 °C."})
    assert corpus.index(["."]).warnings == []


def test_warnings_of_the_encoder_are_reported_once(folder: Path, tmp_path: Path) -> None:
    class Grumbling(FakeEncoder):
        def encode_documents(self, texts: Sequence[str], /) -> Any:
            for _ in range(2):
                warnings.warn("2 texts were cut", UserWarning, stacklevel=2)
            return super().encode_documents(texts)

    write_corpus(folder, {"a.txt": "Water."})
    with Corpus(tmp_path / "store", Grumbling(), create=True) as corpus:
        assert corpus.index(["."]).warnings == ["2 texts were cut"]


def test_progress_is_told_in_bytes_and_ends_complete(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"a.txt": "Water.", "b.txt": "Ice."})
    told: list[Step] = []
    corpus.index(["."], progress=told.append)
    assert told == [
        Step("indexing", 10, 10, 2),  # both were encoded
        Step("indexing", 10, 10, 2),  # and committed
        Step("building the indexes", 0, 1),
        Step("building the indexes", 1, 1),
    ]


class TestFilesAreOpenedOnlyWhenTheyChanged:
    def test_a_file_with_the_same_stamp_is_not_read(
        self, folder: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (path,) = write_corpus(folder, {"a.txt": "Water."})
        os.utime(path, (1_600_000_000, 1_600_000_000))
        opened = reads(monkeypatch)
        corpus.index(["."])
        assert opened == ["a.txt"]
        assert corpus.index(["."]).unchanged == 1
        assert opened == ["a.txt"]

    def test_one_that_was_touched_is_read_once_and_not_encoded(
        self, folder: Path, corpus: Corpus, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (path,) = write_corpus(folder, {"a.txt": "Water."})
        corpus.index(["."])
        os.utime(path, (1_600_000_000, 1_600_000_000))
        opened = reads(monkeypatch)
        assert [corpus.index(["."]).unchanged for _ in range(3)] == [1, 1, 1]
        assert opened == ["a.txt"]
        assert encoder.encoded == ["Water."]

    def test_a_change_of_the_same_length_at_the_same_time_is_seen(self, folder: Path, corpus: Corpus) -> None:
        (path,) = write_corpus(folder, {"a.txt": "Water."})
        os.utime(path, (1_600_000_000, 1_600_000_000))
        corpus.index(["."])
        write_corpus(folder, {"a.txt": "Steam."})
        os.utime(path, (1_600_000_000, 1_600_000_000))
        assert counts(corpus.index(["."])) == {"files": 1, "passages": 1, "encoded": 1, "unchanged": 0, "removed": 1}


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths whose content is read from now on."""
    opened: list[str] = []
    real = indexing.read_content

    def read_content(path: str) -> tuple[bytes, str]:
        opened.append(path)
        return real(path)

    monkeypatch.setattr(indexing, "read_content", read_content)
    return opened


class TestRecords:
    def test_one_changed_record_is_the_only_one_that_is_split_again(
        self, folder: Path, corpus: Corpus, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_corpus(folder, {"a.jsonl": '{"id": 1, "text": "Water."}\n{"id": 2, "text": "Ice."}'})
        corpus.index(["."])
        split: list[str] = []
        real = indexing.split_document

        def split_document(document: Any, *rest: Any) -> Any:
            split.append(document.source)
            return real(document, *rest)

        monkeypatch.setattr(indexing, "split_document", split_document)
        write_corpus(folder, {"a.jsonl": '{"id": 1, "text": "Water."}\n{"id": 2, "text": "Snow."}'})
        assert counts(corpus.index(["."])) == {"files": 1, "passages": 2, "encoded": 1, "unchanged": 1, "removed": 1}
        assert split == ["a.jsonl#id=2"]
        assert encoder.encoded == ["Water.", "Ice.", "Snow."] or encoder.encoded == ["Ice.", "Water.", "Snow."]

    def test_changed_metadata_are_stored_and_nothing_is_encoded(
        self, folder: Path, corpus: Corpus, encoder: FakeEncoder
    ) -> None:
        write_corpus(folder, {"a.jsonl": '{"id": 1, "text": "Water.", "year": 1999}'})
        corpus.index(["."])
        write_corpus(folder, {"a.jsonl": '{"id": 1, "text": "Water.", "year": 2001}'})
        assert counts(corpus.index(["."])) == {"files": 1, "passages": 1, "encoded": 0, "unchanged": 1, "removed": 0}
        assert len(corpus.search("Water", where=parse_where(["year=2001"]))) == 1
        assert corpus.search("Water", where=parse_where(["year=1999"])) == []
        assert encoder.encoded == ["Water."]

    def test_a_changed_title_changes_the_vector(self, folder: Path, corpus: Corpus, encoder: FakeEncoder) -> None:
        write_corpus(folder, {"a.jsonl": '{"id": 1, "title": "Rivers", "text": "It flows."}'})
        corpus.index(["."])
        write_corpus(folder, {"a.jsonl": '{"id": 1, "title": "Lava", "text": "It flows."}'})
        assert counts(corpus.index(["."])) == {"files": 1, "passages": 1, "encoded": 1, "unchanged": 0, "removed": 1}
        assert encoder.encoded == ["Rivers\nIt flows.", "Lava\nIt flows."]
        assert corpus.search("Lava")[0].dense_score > 0.3

    def test_the_chosen_fields_are_remembered(self, folder: Path, corpus: Corpus) -> None:
        write_corpus(folder, {"a.csv": "key,body\nx,Water.\ny,Ice.\n"})
        corpus.index(["."], options=IndexOptions(fields=Fields(text="body", id="key")))
        assert sources(corpus) == ["a.csv#id=x", "a.csv#id=y"]
        write_corpus(folder, {"a.csv": "key,body\nx,Water.\nz,Steam.\n"})
        assert counts(corpus.index(["."])) == {"files": 1, "passages": 2, "encoded": 1, "unchanged": 1, "removed": 1}

    def test_records_that_were_skipped_are_named_every_time(self, folder: Path, corpus: Corpus) -> None:
        (path,) = write_corpus(folder, {"a.jsonl": '{"text": "Water."}\nbroken'})
        os.utime(path, (1_600_000_000, 1_600_000_000))
        assert [corpus.index(["."]).skipped for _ in range(3)] == [[Skipped("a.jsonl:2", "is not valid JSON")]] * 3


def test_a_file_that_changes_while_it_is_read_stays_as_it_was_indexed(
    folder: Path, corpus: Corpus, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(folder, {"a.txt": "Water.", "b.txt": "Ice."})
    corpus.index(["."])
    before = contents(corpus)
    write_corpus(folder, {"b.txt": "Ice, and more."})
    refuse(monkeypatch, "b.txt", Changing("changes while it is read; index again when it is finished"))
    report = corpus.index(["."])
    assert report.skipped == [
        Skipped(
            "b.txt",
            "changes while it is read; index again when it is finished; what was indexed of it before is kept",
        )
    ]
    assert contents(corpus) == before


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, problem: OSError) -> None:
    """From now on this file cannot be read; tests may run as root, whom no mode keeps out."""
    real = indexing.read_content

    def guarded(path: str) -> tuple[bytes, str]:
        if path == name:
            raise problem
        return real(path)

    monkeypatch.setattr(indexing, "read_content", guarded)


def test_files_that_rules_leave_out_are_counted_and_forgotten(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"a.txt": "Water.", "drafts/b.txt": "Ice.", "drafts/c.txt": "Snow."})
    assert corpus.index(["."]).passages == 3
    report = corpus.index(["."], options=IndexOptions(excludes=("drafts/",)))
    assert counts(report) == {"files": 1, "passages": 1, "encoded": 0, "unchanged": 1, "removed": 2}
    assert report.warnings == ["left out by ignore rules: 1 (files and folders)"]


def test_a_file_that_comes_under_a_second_name_is_told(folder: Path, corpus: Corpus) -> None:
    write_corpus(folder, {"n/a.txt": "Water."})
    assert corpus.index(["n"]).warnings == []
    (warning,) = corpus.index([folder / "n"]).warnings
    assert warning.startswith("1 files are in the store twice now, under two names (for example 'n/a.txt' and '/")
    assert corpus.index(["n"]).warnings == []


def test_the_split_of_a_store_stays_when_the_encoder_could_take_more(folder: Path, tmp_path: Path) -> None:
    write_corpus(folder, {"a.txt": LONG})
    with Corpus(tmp_path / "store", FakeEncoder(), create=True) as corpus:
        before = corpus.index(["."]).passages
    with Corpus(tmp_path / "store", FakeEncoder(window=8192)) as corpus:
        assert counts(corpus.index(["."])) == {
            "files": 1,
            "passages": before,
            "encoded": 0,
            "unchanged": before,
            "removed": 0,
        }


def test_vectors_of_passages_that_lost_them_are_encoded_again(folder: Path, tmp_path: Path, contents: Contents) -> None:
    write_corpus(folder, {"a.txt": LONG, "b.txt": "Ice."})
    with Corpus(tmp_path / "store", FakeEncoder(), create=True) as corpus:
        corpus.index(["."])
        before = contents(corpus)
        corpus.store.database.rows("DELETE FROM vectors")
    second = FakeEncoder()
    with Corpus(tmp_path / "store", second) as corpus:
        assert corpus.index(["."]).encoded == 0
        assert contents(corpus) == before
    assert len(second.encoded) == len(before["passages"])
