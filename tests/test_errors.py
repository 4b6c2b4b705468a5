"""The tree of errors, secrets in messages, and the boundary to foreign code."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import (
    ChatError,
    ChatUnavailable,
    CheckpointError,
    EncoderError,
    EncoderMismatch,
    InputError,
    MissingExtra,
    ReasonIRError,
    StoreError,
    UnreadableReply,
    boundary,
    missing_extra,
    redact,
)


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (InputError, (ReasonIRError, ValueError)),
        (EncoderMismatch, (InputError, ValueError)),
        (CheckpointError, (InputError, ValueError)),
        (MissingExtra, (ReasonIRError, ImportError)),
        (StoreError, (ReasonIRError, RuntimeError)),
        (EncoderError, (ReasonIRError, RuntimeError)),
        (ChatError, (ReasonIRError, RuntimeError)),
        (ChatUnavailable, (ChatError, RuntimeError)),
        (UnreadableReply, (ChatError, RuntimeError)),
    ],
)
def test_the_tree_hangs_on_the_standard_library(kind: type[Exception], bases: tuple[type, ...]) -> None:
    assert all(issubclass(kind, base) for base in bases)


def test_an_unreadable_reply_keeps_what_came() -> None:
    error = UnreadableReply("no score", raw="four or so")
    assert (str(error), error.raw) == ("no score", "four or so")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("wrong key sk-proj-abcDEF123456 given", "abcDEF123456"),
        ("key sk-secret-123456.", "secret-123456"),
        ("{'authorization': 'Bearer eyJhbGciOi.J9.x'}", "eyJhbGciOi"),
        ("AUTHORIZATION: bearer abc123", "abc123"),
        ("GET https://user:pass-word@host.example/v1 failed", "pass-word"),
        ("GET https://onlytoken@host.example/v1 failed", "onlytoken"),
        ("http://h/v1?api_key=abc123&x=1", "abc123"),
        ("api-key: abc123, other", "abc123"),
        ('{"api_key": "abc123"}', "abc123"),
        ("open(api_key='abc123')", "abc123"),
        ("hf_abcdefghijk", "abcdefghijk"),
        ("gsk_abcdefghijk", "abcdefghijk"),
    ],
)
def test_secrets_are_taken_out(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact(text)
    assert "[secret]" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "there is no file 'notes.md'",
        "http://127.0.0.1:8000/v1 refused the connection",
        "mail me@example.org about the task-force",
        "score 4 of 5 at 10:30",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_redaction_leaves_what_is_around_the_secret() -> None:
    assert redact("GET http://u:p@host/v1?api_key=abc&k=8") == "GET http://[secret]@host/v1?api_key=[secret]&k=8"


@settings(deadline=None, max_examples=100)
@given(st.text(), st.text(alphabet="abcdefXYZ0123456789", min_size=6), st.text())
def test_a_provider_key_never_survives(before: str, key: str, after: str) -> None:
    assert f"sk-{key}" not in redact(f"{before} sk-{key} {after}")


def test_the_boundary_types_and_chains_a_foreign_error() -> None:
    with (
        pytest.raises(StoreError, match=r"^reading notes.md failed: KeyError: 'x'$") as caught,
        boundary(StoreError, "reading notes.md"),
    ):
        {}["x"]
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_boundary_says_the_first_line_only_and_no_secret() -> None:
    with pytest.raises(StoreError) as caught, boundary(StoreError, "asking"):
        raise OSError("no way with sk-secret-123456\nsecond line")
    assert str(caught.value) == "asking failed: OSError: no way with [secret]"


def test_an_error_without_words_is_named() -> None:
    with pytest.raises(StoreError, match=r"^asking failed: TimeoutError$"), boundary(StoreError, "asking"):
        raise TimeoutError


def test_our_own_errors_pass_the_boundary_unchanged() -> None:
    ours = InputError("k must be 1 or more")
    with pytest.raises(InputError) as caught, boundary(StoreError, "searching"):
        raise ours
    assert caught.value is ours
    assert caught.value.__cause__ is None


def test_what_was_not_expected_passes_the_boundary_unchanged() -> None:
    with pytest.raises(KeyError), boundary(StoreError, "searching", catch=(OSError,)):
        raise KeyError("x")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_passes_the_boundary(kind: type[BaseException]) -> None:
    with pytest.raises(kind), boundary(StoreError, "searching"):
        raise kind


def test_a_missing_extra_names_package_and_command() -> None:
    cause = ModuleNotFoundError("No module named 'langgraph'", name="langgraph")
    error = missing_extra("agent", "the agent", cause)
    assert isinstance(error, MissingExtra)
    assert str(error) == (
        "the agent needs the package 'langgraph', which is not installed; run: pip install 'reasonir-agent[agent]'"
    )
