"""The files under a path, in order of name, with what tells whether they changed.

Left out without a word: hidden files, what rules exclude (`excluding`), a store of ours. Named with the reason: links
that lead out of the folder, folders that cannot be opened, names that are no Unicode. A file that the user names is
always taken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reasonir_agent.corpus.reading.content import stamp_of
from reasonir_agent.corpus.reading.excluding import GIT, OWN, Rules
from reasonir_agent.errors import InputError
from reasonir_agent.types import Skipped

_STORE: Final = "reasonir.sqlite"  # stands in every store


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as it was when it was found.

    Attributes:
        path: its name from the path that the user gave.
        size: bytes.
        stamp: what changes whenever its content does.
    """

    path: str
    size: int
    stamp: str


class Finder:
    """Walks the paths of one run.

    Args:
        excludes: patterns in the syntax of .gitignore, relative to each folder that is walked.
        ignore_files: whether `.gitignore` files count in a git work tree; `.reasonirignore` files always do.
    """

    def __init__(self, excludes: Sequence[str] = (), *, ignore_files: bool = True) -> None:
        self._excludes, self._ignore_files = tuple(excludes), ignore_files
        self._roots: list[str] = []
        self._excluded = 0

    @property
    def excluded(self) -> int:
        """Files and whole folders that rules left out so far."""
        return self._excluded

    def walk(self, path: str) -> Iterator[FoundFile | Skipped]:
        """The files of a file or folder; those of a folder come before its subfolders.

        Raises:
            InputError: nothing is there, or an exclude is no pattern.
        """
        top = Path(path)
        if not top.exists():
            raise InputError(f"there is no file or folder {path!r}")
        self._roots.append(str(top))
        if not top.is_dir():
            if top.is_file():
                yield _found(str(top))
            return
        walk = _Walk(os.path.realpath(top), Rules.for_top(path, self._excludes, ignore_files=self._ignore_files))
        try:
            yield from walk.folder("" if str(top) == "." else str(top))
        finally:
            self._excluded += walk.excluded
        yield from walk.closed

    def is_excluded(self, path: str) -> bool:
        """Whether rules leave out a file that was found before, under every walked path that it stands under."""
        file = Path(os.path.normpath(path))
        roots = [root for root in map(Path, self._roots) if _is_under(file, root)]
        return bool(roots) and all(self._is_excluded_under(root, file) for root in roots)

    def _is_excluded_under(self, root: Path, file: Path) -> bool:
        parts = file.relative_to(os.path.normpath(root)).parts
        rules = Rules.for_top(str(root), self._excludes, ignore_files=self._ignore_files)
        inside = ""
        for at, part in enumerate(parts):
            folder = root / inside
            rules = rules.inside(
                str(folder), inside, [one for one in (".git", OWN, GIT) if os.path.lexists(folder / one)]
            )
            inside += part if at == len(parts) - 1 else f"{part}/"
            if rules.exclude(inside):
                return True
        return False


def _is_under(file: Path, root: Path) -> bool:
    """Whether a path stands at or under another, by their names."""
    folder = os.path.normpath(root)
    return file.is_relative_to(folder) and ".." not in file.relative_to(folder).parts


class _Walk:
    """One walk over one folder."""

    def __init__(self, top: str, rules: Rules) -> None:
        self._top, self._rules = top, rules
        self.closed: list[Skipped] = []
        self.excluded = 0

    def folder(self, top: str) -> Iterator[FoundFile | Skipped]:
        """The files of a folder and of those in it; without recursion, for folders can be nested deeply."""
        waiting = [(top, "", self._rules)]
        while waiting:
            folder, inside, rules = waiting.pop()
            try:
                with os.scandir(folder or ".") as opened:
                    entries = sorted(opened, key=lambda entry: entry.name)
            except OSError as problem:
                self.closed.append(Skipped(_printable(folder), problem.strerror or str(problem)))
                continue
            names = [entry.name for entry in entries]
            if _STORE in names:
                continue
            rules = rules.inside(folder, inside, names)
            folders: list[tuple[str, str, Rules]] = []
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                is_folder = _is_folder(entry)
                below = f"{inside}{entry.name}/" if is_folder else f"{inside}{entry.name}"
                if rules.exclude(below):
                    self.excluded += 1
                elif is_folder:
                    folders.append((os.path.join(folder, entry.name), below, rules))  # noqa: PTH118
                else:
                    yield from self._entry(entry, os.path.join(folder, entry.name))  # noqa: PTH118
            waiting += reversed(folders)

    def _entry(self, entry: os.DirEntry[str], path: str) -> Iterator[FoundFile | Skipped]:
        """What stands under one name: a file, a reason to skip it, or nothing for us (a pipe, a device)."""
        if entry.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(self._top):
            yield Skipped(_printable(path), "a link that leads out of the folder")
        elif entry.is_symlink() and not Path(path).exists():
            yield Skipped(_printable(path), "a link to nothing")
        elif entry.is_file():
            yield _found(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _found(path: str) -> FoundFile | Skipped:
    """A file under its name, which becomes its source; one that is no Unicode can be neither stored nor printed."""
    if path != _printable(path):
        return Skipped(_printable(path), "its name is not valid UTF-8")
    try:
        status = os.stat(path)  # noqa: PTH116 - thousands of files; not the entry's, which lacks the inode on Windows
    except OSError as problem:
        return Skipped(path, problem.strerror or str(problem))
    return FoundFile(path, status.st_size, stamp_of(status))


def _printable(name: str) -> str:
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "replace")
