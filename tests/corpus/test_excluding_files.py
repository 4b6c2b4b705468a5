"""Which files rules leave out. `git` itself is the judge where it is installed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from reasonir_agent.corpus.reading import Finder
from reasonir_agent.errors import InputError
from reasonir_agent.testing import write_corpus

GIT = shutil.which("git")


def found(folder: Path, *excludes: str, ignore_files: bool = True) -> list[str]:
    walked = list(Finder(excludes, ignore_files=ignore_files).walk(str(folder)))
    return [os.path.relpath(one.path, folder) for one in walked]


def excluded(folder: Path, *excludes: str) -> int:
    finder = Finder(excludes)
    list(finder.walk(str(folder)))
    return finder.excluded


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_corpus(tmp_path, {"a.log": "a", "a.txt": "a", "build/b.txt": "b", "src/a.log": "a", "src/build": "a file"})
    return tmp_path


@pytest.mark.parametrize(
    ("excludes", "left"),
    [
        ((), ["a.log", "a.txt", "build/b.txt", "src/a.log", "src/build"]),
        (("*.log",), ["a.txt", "build/b.txt", "src/build"]),
        (("build/",), ["a.log", "a.txt", "src/a.log", "src/build"]),
        (("build",), ["a.log", "a.txt", "src/a.log"]),
        (("/a.*",), ["build/b.txt", "src/a.log", "src/build"]),
        (("./a.*",), ["build/b.txt", "src/a.log", "src/build"]),
        (("src/*", "!src/build"), ["a.log", "a.txt", "build/b.txt", "src/build"]),
        (("src", "!src/build"), ["a.log", "a.txt", "build/b.txt"]),
        (("src/**", "!src/build"), ["a.log", "a.txt", "build/b.txt", "src/build"]),
        (("*", "!*.txt"), ["a.txt"]),
        (("# a comment", ""), ["a.log", "a.txt", "build/b.txt", "src/a.log", "src/build"]),
    ],
)
def test_patterns_of_the_user_leave_files_out(tree: Path, excludes: tuple[str, ...], left: list[str]) -> None:
    assert found(tree, *excludes) == left


def test_what_is_left_out_is_counted_and_a_folder_counts_once(tree: Path) -> None:
    write_corpus(tree, {"build/c/d.txt": "d"})
    assert excluded(tree) == 0
    assert excluded(tree, "*.log") == 2
    assert excluded(tree, "build") == 2


def test_a_file_that_is_given_itself_is_taken_whatever_the_rules_say(tree: Path) -> None:
    write_corpus(tree, {".reasonirignore": "*"})
    finder = Finder(["*"])
    assert [one.path for one in finder.walk(str(tree / "a.log"))] == [str(tree / "a.log")]
    assert not finder.is_excluded(str(tree / "a.log"))


def test_an_exclude_that_is_no_pattern_is_refused(tree: Path) -> None:
    with pytest.raises(InputError, match=r"^an exclude is a pattern as in \.gitignore, .* got '!'$"):
        found(tree, "!")


def test_own_files_of_rules_count_in_every_folder(tree: Path) -> None:
    write_corpus(tree, {".reasonirignore": "*.log\n", "src/.reasonirignore": "!a.log\nbuild\n"})
    assert found(tree) == ["a.txt", "build/b.txt", "src/a.log"]
    assert found(tree, ignore_files=False) == ["a.txt", "build/b.txt", "src/a.log"]


def test_gitignore_counts_only_in_a_work_tree(tree: Path) -> None:
    write_corpus(tree, {".gitignore": "*.log\n"})
    assert "a.log" in found(tree)
    (tree / ".git").mkdir()
    assert "a.log" not in found(tree)
    assert "a.log" in found(tree, ignore_files=False)


def test_the_rules_of_parents_apply_up_to_the_root_of_the_work_tree(tree: Path) -> None:
    write_corpus(tree, {".gitignore": "*.txt\n", "repo/.gitignore": "/sub/x\n*.log\n", "repo/sub/.gitignore": "y\n"})
    write_corpus(tree, {f"repo/sub/{name}": "t" for name in ("x", "y", "z", "a.log", "a.txt", "deep/x", "deep/y")})
    (tree / "repo" / ".git").mkdir()
    assert found(tree / "repo" / "sub") == ["a.txt", "z", "deep/x"]
    assert found(tree / "repo") == ["sub/a.txt", "sub/z", "sub/deep/x"]


def test_a_work_tree_within_a_folder_has_its_own_rules(tree: Path) -> None:
    write_corpus(tree, {"src/.gitignore": "*.log\n", "build/.gitignore": "*\n"})
    (tree / "src" / ".git").write_text("gitdir: elsewhere\n")  # as in a submodule
    assert found(tree) == ["a.log", "a.txt", "build/b.txt", "src/build"]


def test_a_work_tree_within_another_ends_the_rules_around_it(tree: Path) -> None:
    write_corpus(tree, {".gitignore": "a.log\n"})
    (tree / ".git").mkdir()
    (tree / "src" / ".git").mkdir()
    assert found(tree) == ["a.txt", "build/b.txt", "src/a.log", "src/build"]


def test_the_user_beats_own_files_and_they_beat_git(tree: Path) -> None:
    write_corpus(tree, {".gitignore": "*.log\n*.txt\n", ".reasonirignore": "!*.log\n", "src/.gitignore": "*.log\n"})
    (tree / ".git").mkdir()
    assert found(tree) == ["a.log", "src/a.log", "src/build"]
    assert found(tree, "src/a.log", "!*.txt") == ["a.log", "a.txt", "build/b.txt", "src/build"]


def test_a_folder_that_is_taken_back_is_read_by_the_weaker_rules(tree: Path) -> None:
    write_corpus(tree, {".gitignore": "build/\n*.log\n", "build/c.log": "c"})
    (tree / ".git").mkdir()
    assert found(tree, "!build/") == ["a.txt", "build/b.txt", "src/build"]


@pytest.mark.timeout(20)
def test_a_file_of_rules_that_is_a_link_a_pipe_or_no_text_has_no_rules(tree: Path) -> None:
    write_corpus(tree, {"rules": "*\n"})
    (tree / ".reasonirignore").symlink_to("rules")
    os.mkfifo(tree / "build" / ".reasonirignore")
    (tree / "src" / ".reasonirignore").write_bytes(b"\xff\xfe\0[\n!\n*.log\r\n")
    assert found(tree) == ["a.log", "a.txt", "rules", "build/b.txt", "src/build"]


def test_a_byte_order_mark_is_no_part_of_the_first_rule(tree: Path) -> None:
    (tree / ".reasonirignore").write_text("\ufeff*.log\n", encoding="utf-8")
    assert "a.log" not in found(tree)


def test_a_file_that_was_found_before_is_known_to_be_excluded_now(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    write_corpus(tree, {"src/.reasonirignore": "*.log\n"})
    finder = Finder(["build/"])
    assert [one.path for one in finder.walk(".")] == ["a.log", "a.txt", "src/build"]
    assert finder.is_excluded("build/b.txt")
    assert finder.is_excluded("build/gone/since.txt")
    assert finder.is_excluded("src/a.log")
    assert not finder.is_excluded("a.log")
    assert not finder.is_excluded("src/build")
    assert not finder.is_excluded("../elsewhere/build/b.txt")


def test_a_file_that_another_path_takes_is_not_excluded(tree: Path) -> None:
    finder = Finder(["build/"])
    list(finder.walk(str(tree)))
    assert finder.is_excluded(str(tree / "build" / "b.txt"))
    list(finder.walk(str(tree / "build")))
    assert not finder.is_excluded(str(tree / "build" / "b.txt"))


NAMES = ["a", "b", "keep", "build", "x.log", "y.txt", "foo.md", "z"]
PATTERNS = [
    *(
        "*.log",
        "a",
        "a/",
        "/a",
        "b/*",
        "!b/x.log",
        "**/keep",
        "keep/**",
        "!keep/y.txt",
        "*/",
        "!*/",
        "build",
        "!build/",
    ),
    *(
        "/*",
        "!/keep/",
        "!/a",
        "foo.*",
        "!foo.md",
        "a/b",
        "a/**/z",
        "?",
        "[xy].*",
        "*",
        "!*.md",
        "\\!a",
        "#c",
        "b/",
        " ",
    ),
    *("**/", "/b/*/z", "!z", "keep/", "*.txt", "!y.txt", "a/b/", "**/b/**", "!**/b/", "[!x].txt", "x.log ", "\\#a"),
]


def grow(folder: Path, dice: random.Random, depth: int = 0) -> None:
    for name in dice.sample(NAMES, dice.randint(2, 5)):
        if "." not in name and depth < 3 and dice.random() < 0.8:
            (folder / name).mkdir()
            grow(folder / name, dice, depth + 1)
        else:
            (folder / name).write_text("t")
    if depth == 0 or dice.random() < 0.4:
        (folder / ".gitignore").write_text("\n".join(dice.sample(PATTERNS, dice.randint(1, 4))) + "\n")


@pytest.mark.slow
@pytest.mark.skipif(GIT is None, reason="git is not installed")
def test_the_same_files_are_left_out_as_by_git(tmp_path: Path) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    some_left_out = 0
    for seed in range(60):
        folder = tmp_path / str(seed)
        folder.mkdir()
        grow(folder, random.Random(seed))
        for arguments in (["init", "-q"], ["ls-files", "-o", "--exclude-standard", "-z"]):
            done = subprocess.run(
                [str(GIT), "-C", str(folder), *arguments], check=True, capture_output=True, text=True, env=environment
            )
        by_git = {name for name in done.stdout.split("\0") if name and not name.endswith(".gitignore")}
        finder = Finder()
        ours = {os.path.relpath(one.path, folder) for one in finder.walk(str(folder))}
        assert ours == by_git, f"seed {seed}"
        everything = set(found(folder, ignore_files=False))
        left_out = {name for name in everything if finder.is_excluded(str(folder / name))}
        assert left_out == everything - by_git, f"seed {seed}"
        some_left_out += 0 < len(left_out) < len(everything)
    assert some_left_out > 20
