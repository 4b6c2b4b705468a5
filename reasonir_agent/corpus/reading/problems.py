"""Why a file is not read. Each message reads well after the file's name: "report.pdf: is encrypted with a password"."""

from __future__ import annotations

from reasonir_agent.errors import InputError


class Unreadable(InputError):
    """A file that is skipped; the message is the reason that the user is told."""


class Changing(OSError):
    """A file that is written while it is read; a later run finds it finished."""


def missing_package(format: str, extra: str = "docs") -> Unreadable:
    """The reason for a file whose reader is not installed.

    Args:
        format: what was to be read ("HTML").
        extra: the extra of `reasonir-agent` that brings the package.
    """
    return Unreadable(f"reading {format} needs a package; run: pip install 'reasonir-agent[{extra}]'")


def described(problem: BaseException) -> str:
    """A foreign exception in one line of at most 200 characters."""
    first = (str(problem).strip().splitlines() or [""])[0]
    return (first or type(problem).__name__)[:200]
