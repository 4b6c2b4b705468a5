"""Which files are left out: rules in the syntax of .gitignore, from the user, `.reasonirignore` and `.gitignore` files.

As in git, the last rule of a file that fits decides, a deeper file beats a higher one, and nothing under an excluded
folder can be taken back. The user's own patterns beat `.reasonirignore` files, which beat `.gitignore` files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reasonir_agent.errors import InputError, missing_extra

OWN: Final = ".reasonirignore"
GIT: Final = ".gitignore"
_MOST_BYTES: Final = 1_000_000  # of a file with rules
_PARENT_GROUP: Final = "ps_d"  # pathspec's: the slash after what a pattern names, where the path goes on


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pattern. `pathspec` translates it; that it must name the path itself, not a parent, is checked here."""

    excludes: bool
    folders_only: bool
    pattern: object

    def fits(self, path: str) -> bool:
        """Whether it names a path; the path of a folder ends with a slash."""
        is_folder = path.endswith("/")
        if self.folders_only and not is_folder:
            return False
        subject = path if self.folders_only else path.removesuffix("/")
        found = self.pattern.search(subject)  # type: ignore[attr-defined]
        if found is None or _PARENT_GROUP not in found.re.groupindex:
            return found is not None
        end = found.end(_PARENT_GROUP)
        return bool(end in (-1, len(subject)) or found.re.pattern == f"(?P<{_PARENT_GROUP}>/)")


@dataclass(frozen=True, slots=True)
class _RuleFile:
    """The rules of one file, relative to its folder.

    Attributes:
        below: path of the files that are asked about, from the rules' folder to the walk's top: "" or "a/b/".
        above: path from the walk's top to the rules' folder: "" or "a/b/". One of the two is "".
        rules: last one first.
    """

    below: str
    above: str
    rules: tuple[_Rule, ...]

    def verdict(self, path: str) -> bool | None:
        """Whether a path (from the walk's top) is excluded; None where no rule fits."""
        subject = self.below + path[len(self.above) :]
        return next((rule.excludes for rule in self.rules if rule.fits(subject)), None)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that hold in one folder, strongest first."""

    given: tuple[_RuleFile, ...] = ()
    own: tuple[_RuleFile, ...] = ()
    git: tuple[_RuleFile, ...] = ()
    in_git: bool = False
    ignore_files: bool = True

    @classmethod
    def for_top(cls, top: str, excludes: Sequence[str], *, ignore_files: bool) -> Rules:
        """What holds for a folder that is walked, before its own files of rules are read.

        Raises:
            InputError: an exclude is no pattern.
        """
        given = (_RuleFile("", "", _parsed([re.sub(r"^(!?)\./", r"\1/", one) for one in excludes], strict=True)),)
        rules = cls(given if excludes else (), ignore_files=ignore_files)
        return rules._with_parents(Path(os.path.realpath(top))) if ignore_files else rules

    def _with_parents(self, top: Path) -> Rules:
        """Add the .gitignore files between the root of a git work tree and the folder, which is in it."""
        parents = [top, *top.parents]
        root = next((at for at, folder in enumerate(parents) if os.path.lexists(folder / ".git")), None)
        if root is None:
            return self
        found = []
        for folder in parents[1 : root + 1]:
            if rules := _read(folder / GIT):
                found.append(_RuleFile(f"{top.relative_to(folder).as_posix()}/", "", rules))
        return replace(self, git=tuple(found), in_git=True)

    def inside(self, folder: str, path: str, names: Sequence[str]) -> Rules:
        """The rules within a folder, with the files of rules that stand in it.

        Args:
            folder: the folder.
            path: its path from the walk's top: "" or "a/b/".
            names: what stands in it.
        """
        rules = self
        if ".git" in names and self.ignore_files:  # a work tree of its own: the rules around it end here
            rules = replace(rules, git=rules.git if not path else (), in_git=True)
        if OWN in names and (found := _read(Path(folder, OWN))):
            rules = replace(rules, own=(_RuleFile("", path, found), *rules.own))
        if GIT in names and rules.in_git and self.ignore_files and (found := _read(Path(folder, GIT))):
            rules = replace(rules, git=(_RuleFile("", path, found), *rules.git))
        return rules

    def exclude(self, path: str) -> bool:
        """Whether a path (from the walk's top; with a slash at the end for a folder) is left out."""
        for files in (self.given, self.own, self.git):
            for one in files:
                if (verdict := one.verdict(path)) is not None:
                    return verdict
        return False


def _read(file: Path) -> tuple[_Rule, ...]:
    """The rules of a file; a link, a pipe or what cannot be read has none, as in git."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return ()
        content = file.read_bytes()
    except OSError:
        return ()
    return _parsed(os.fsdecode(content.removeprefix(b"\xef\xbb\xbf")).split("\n"), strict=False)


def _parsed(lines: Sequence[str], *, strict: bool) -> tuple[_Rule, ...]:
    try:
        from pathspec import GitIgnoreSpec
    except ModuleNotFoundError as cause:
        if not any(line.strip() and not line.startswith("#") for line in lines):
            return ()
        raise missing_extra("agent", "Leaving files out by rules", cause) from None
    found: list[_Rule] = []
    for line in lines:
        try:
            patterns = list(GitIgnoreSpec.from_lines([line.removesuffix("\r")]).patterns)
        except ValueError:
            if strict:
                raise InputError(
                    f"an exclude is a pattern as in .gitignore, for example drafts/ or *.log; got {line!r}"
                ) from None
            continue
        folders_only = line.removesuffix("\r").rstrip(" ").endswith("/")
        found += [_Rule(bool(one.include), folders_only, one.regex) for one in patterns if one.include is not None]
    return tuple(reversed(found))
