from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reasonir_agent.corpus.reading import Finder, FoundFile
from reasonir_agent.errors import InputError
from reasonir_agent.testing import write_corpus
from reasonir_agent.types import Skipped


def find_files(path: str) -> list[str | Skipped]:
    return [one.path if isinstance(one, FoundFile) else one for one in Finder().walk(path)]


def found(folder: Path) -> list[str]:
    return [str(Path(one).relative_to(folder)) for one in find_files(str(folder)) if isinstance(one, str)]


def skipped(folder: Path) -> dict[str, str]:
    return {
        str(Path(one.path).relative_to(folder)): one.reason
        for one in find_files(str(folder))
        if isinstance(one, Skipped)
    }


def test_files_come_in_order_of_name_with_those_of_a_folder_before_its_subfolders(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"b.txt": "b", "a.txt": "a", "z/a.txt": "za", "c/d/e.txt": "cde"})
    assert found(tmp_path) == ["a.txt", "b.txt", "c/d/e.txt", "z/a.txt"]


def test_hidden_files_and_folders_are_left_out_without_a_word(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"a.txt": "a", ".hidden.txt": "h", ".git/b.txt": "b", "c/.d/e.txt": "e"})
    assert found(tmp_path) == ["a.txt"]
    assert skipped(tmp_path) == {}


def test_a_hidden_file_or_folder_that_is_named_is_found(tmp_path: Path) -> None:
    write_corpus(tmp_path, {".notes/a.txt": "a", ".b.txt": "b"})
    assert find_files(str(tmp_path / ".b.txt")) == [str(tmp_path / ".b.txt")]
    assert found(tmp_path / ".notes") == ["a.txt"]


@pytest.mark.parametrize("name", ["two words.txt", "中文 笔记.md", "new\nline.txt", "quote'\".txt", "ünïcode.txt"])
def test_unusual_names_are_found(tmp_path: Path, name: str) -> None:
    write_corpus(tmp_path, {name: "text"})
    assert found(tmp_path) == [name]


def test_a_name_that_is_not_valid_utf8_is_skipped_and_named_in_a_form_that_can_be_printed(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))).write_text("text")
    assert found(tmp_path) == []
    assert skipped(tmp_path) == {"caf\ufffd.txt": "its name is not valid UTF-8"}
    assert isinstance(find_files(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))[0], Skipped)


@pytest.mark.parametrize(
    "link",
    [lambda link, outside: link.symlink_to(outside / "secret.txt"), lambda link, outside: link.symlink_to(outside)],
)
def test_links_that_lead_out_of_the_folder_are_skipped(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    write_corpus(tmp_path, {"inside/a.txt": "a", "outside/secret.txt": "s"})
    link(tmp_path / "inside" / "link.txt", tmp_path / "outside")
    assert found(tmp_path / "inside") == ["a.txt"]
    assert skipped(tmp_path / "inside") == {"link.txt": "a link that leads out of the folder"}


def test_a_folder_whose_name_begins_like_the_given_one_is_outside(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"notes/a.txt": "a", "notes-private/secret.txt": "s"})
    (tmp_path / "notes" / "link.txt").symlink_to("../notes-private/secret.txt")
    assert found(tmp_path / "notes") == ["a.txt"]


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"a.txt": "a"})
    (tmp_path / "b.txt").symlink_to("a.txt")
    assert found(tmp_path) == ["a.txt", "b.txt"]


def test_a_linked_folder_that_is_given_itself_is_read(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"real/a.txt": "a"})
    (tmp_path / "link").symlink_to("real")
    assert found(tmp_path / "link") == ["a.txt"]


def test_broken_and_circular_links_are_skipped(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"a.txt": "a"})
    (tmp_path / "broken.txt").symlink_to("nowhere.txt")
    (tmp_path / "circle.txt").symlink_to("circle.txt")
    (tmp_path / "parent").symlink_to(".")
    assert found(tmp_path) == ["a.txt"]
    assert skipped(tmp_path) == {"broken.txt": "a link to nothing", "circle.txt": "a link to nothing"}


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert find_files(str(tmp_path)) == []


def test_a_folder_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corpus(tmp_path, {"a.txt": "a", "closed/b.txt": "b", "open/c.txt": "c"})
    scandir = os.scandir  # tests may run as root, whom no mode keeps out

    def guarded(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert found(tmp_path) == ["a.txt", "open/c.txt"]
    assert skipped(tmp_path) == {"closed": "Permission denied"}


def test_one_file_has_one_name_however_its_path_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corpus(tmp_path, {"a.txt": "a"})
    monkeypatch.chdir(tmp_path)
    assert find_files("./a.txt") == find_files("a.txt") == find_files(".") == ["a.txt"]


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file or folder .*nowhere"):
        find_files(str(tmp_path / "nowhere"))


def test_a_file_comes_with_its_size_and_a_stamp(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"a.txt": "four", "b.txt": "four"})
    first, second = Finder().walk(str(tmp_path))
    assert isinstance(first, FoundFile) and isinstance(second, FoundFile)
    assert first.size == 4
    assert first.stamp != second.stamp
    assert list(Finder().walk(str(tmp_path / "a.txt"))) == [first]


def test_a_store_within_the_folder_is_left_out(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"a.txt": "a", "mystore/reasonir.sqlite": "s", "mystore/b.txt": "b", "mystore/c/d.txt": "d"})
    assert found(tmp_path) == ["a.txt"]
    assert found(tmp_path / "mystore") == []


def test_folders_may_be_nested_deeply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(300):
        Path("deep").mkdir()
        os.chdir("deep")
    Path("a.txt").write_text("a")
    os.chdir(tmp_path)
    assert len(find_files(".")) == 1


def test_a_folder_that_ends_in_a_slash_is_the_same_folder(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"notes/a.txt": "a"})
    assert find_files(f"{tmp_path}/notes/") == find_files(f"{tmp_path}/notes")
