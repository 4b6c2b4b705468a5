"""One tree of errors, and the door through which every foreign failure enters it.

    ReasonIRError                     anything this package raises on purpose; its text is one clear sentence
    ├── InputError (ValueError)       the caller gave something that cannot be used              exit code 2
    │   ├── EncoderMismatch           a store holds vectors of another encoder                   exit code 2
    │   └── CheckpointError           a model folder is unsafe, broken or of an unknown shape    exit code 2
    ├── MissingExtra (ImportError)    an optional dependency is not installed; names the command exit code 2
    ├── StoreError (RuntimeError)     a store on disk cannot be read or written                  exit code 2
    ├── EncoderError (RuntimeError)    an encoder's server failed, or its numbers are unusable  exit code 2
    └── ChatError (RuntimeError)      a chat model could not give a usable reply
        ├── ChatUnavailable           no connection, key refused, unknown model                  exit code 2
        ├── BudgetSpent               a bound on calls, tokens, seconds or money; `.bound` names it
        └── UnreadableReply           a reply came and says nothing we can use; `.raw` holds it

Messages say what was expected, what came and what to do. They never hold API keys: `redact` removes what
looks like one from foreign texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

_SECRET = re.compile(
    r"(?i)(\b(?:sk|pk|rk|gsk|hf|key|xai|pplx)[-_][A-Za-z0-9_\-*]{6,}"  # provider keys
    r"|(?<=bearer )[^\s'\",;]+"  # Authorization headers
    r"|(?<=://)[^/\s@]+(?=@)"  # user:password, or a token, in an address
    r"|(?P<label>api[-_]?key['\"]?\s*[=:]\s*['\"]?)[^\s&'\",;]+)"
)


class ReasonIRError(Exception):
    """Root of everything this package raises on purpose."""


class InputError(ReasonIRError, ValueError):
    """What the caller gave cannot be used; the sentence says what was expected."""


class EncoderMismatch(InputError):
    """Two sets of vectors come from encoders that are not comparable."""


class CheckpointError(InputError):
    """A model folder is unsafe, incomplete or of a shape that we do not load."""


class MissingExtra(ReasonIRError, ImportError):
    """An optional dependency is not installed."""


class StoreError(ReasonIRError, RuntimeError):
    """A store on disk cannot be read or written."""


class EncoderError(ReasonIRError, RuntimeError):
    """An encoder's server cannot be reached or answers wrongly, or an encoder's numbers are unusable."""


class ChatError(ReasonIRError, RuntimeError):
    """A chat model could not give a usable reply."""


class ChatUnavailable(ChatError):
    """The chat server cannot be reached, refuses the key, or does not know the model."""


class BudgetSpent(ChatError):
    """One more call would pass a bound of the question.

    Attributes:
        bound: "calls", "tokens", "seconds" or "money".
    """

    def __init__(self, message: str, *, bound: str) -> None:
        super().__init__(message)
        self.bound = bound


class UnreadableReply(ChatError):
    """A reply came, and nothing in it can be used.

    Attributes:
        raw: the reply as it came, for the caller's log.
    """

    def __init__(self, message: str, *, raw: str) -> None:
        super().__init__(message)
        self.raw = raw


def redact(text: str) -> str:
    """Replace everything in `text` that looks like a secret by `[secret]`."""
    return _SECRET.sub(lambda match: f"{match['label'] or ''}[secret]", text)


def missing_extra(extra: str, needed_for: str, cause: ModuleNotFoundError) -> MissingExtra:
    """Build the error for a package that is not installed.

    Args:
        extra: name of the extra of `reasonir-agent` that brings it.
        needed_for: what the caller wanted to do, as the start of a sentence.
        cause: the import error; its module name is put in the message.
    """
    return MissingExtra(
        f"{needed_for} needs the package {cause.name!r}, which is not installed; "
        f"run: pip install 'reasonir-agent[{extra}]'"
    )


@contextmanager
def boundary(
    kind: type[ReasonIRError], what: str, *, catch: tuple[type[Exception], ...] = (Exception,)
) -> Iterator[None]:
    """Turn the exceptions of foreign code inside the block into `kind`, chained to their cause.

    Our own errors and `KeyboardInterrupt` pass unchanged.

    Args:
        kind: error to raise; it must be constructible from one message.
        what: what was being done, as the start of a sentence ("reading notes.md").
        catch: the foreign exceptions that are expected here.
    """
    try:
        yield
    except ReasonIRError:
        raise
    except catch as cause:
        raise kind(f"{what} failed: {redact(_describe(cause))}") from cause


def _describe(cause: Exception) -> str:
    first_line = (str(cause).strip().splitlines() or [""])[0]
    name = type(cause).__name__
    return f"{name}: {first_line}" if first_line else name
