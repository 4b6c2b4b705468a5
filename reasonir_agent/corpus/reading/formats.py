"""What every reader is given and gives, and which one reads what.

A reader takes a `File` and yields `Document`s and `Skipped` parts, in order; it raises `Unreadable` where nothing in the
file can be used. It knows nothing of processes: the same function runs here or in the child.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import PurePath
from typing import Final, cast

from reasonir_agent.corpus.reading.problems import Unreadable
from reasonir_agent.types import Document, Skipped


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a record (JSONL, CSV, Parquet) are its text, its id and its title.

    Attributes:
        text: field with the text.
        id: field that names a record; None for the first of id, _id and doc_id that it has, else its number.
        title: field that becomes the record's heading; None for `title` where there is one.
    """

    text: str = "text"
    id: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """What a reader reads.

    Attributes:
        path: its name as the user gave it; becomes the documents' source.
        content: its bytes.
        fields: the user's choice, for files of records.
    """

    path: str
    content: bytes
    fields: Fields = field(default_factory=Fields)


Reader = Callable[[File], Iterator[Document | Skipped]]

_SOURCE_CODE: Final = """
    js mjs cjs ts tsx jsx java c h cc cpp cxx hh hpp cs go rs rb php swift kt kts scala sh bash zsh fish ps1 bat sql r
    jl lua pl pm hs ml mli ex exs erl clj cljs dart vue svelte css scss sass less tex bib sty org adoc asciidoc rst yaml
    yml toml ini cfg conf log m f f90 f95 vb pas groovy gradle cmake mk proto graphql tf nix zig nim el lisp scm txt
    text""".split()
_NAMES: Final = frozenset(
    """makefile gnumakefile dockerfile containerfile jenkinsfile vagrantfile procfile rakefile gemfile brewfile justfile
    readme license licence copying notice authors contributors changelog changes news history install todo version
    codeowners maintainers""".split()
)
_READERS: Final[dict[str, tuple[str, str]]] = {
    **dict.fromkeys(_SOURCE_CODE, ("text", "read_text")),
    **dict.fromkeys(("py", "pyi"), ("text", "read_python")),
    **dict.fromkeys(("md", "markdown"), ("text", "read_markdown")),
    **dict.fromkeys(("html", "htm", "xhtml"), ("html", "read_html")),
    **dict.fromkeys(("jsonl", "ndjson"), ("records", "read_jsonl")),
    **dict.fromkeys(("csv", "tsv"), ("records", "read_csv")),
    "parquet": ("parquet", "read_parquet"),
    "pdf": ("pdf", "read_pdf"),
    "docx": ("docx", "read_docx"),
    "pptx": ("pptx", "read_pptx"),
    "epub": ("epub", "read_epub"),
}
_APART: Final = frozenset({"pdf", "docx", "pptx", "epub", "parquet"})
_LARGE_HTML: Final = 8192  # bytes; html.parser takes quadratic time on hostile markup: 50 s for 65 kB of "<a "


def kind_of(path: str) -> str:
    """A file's kind: its ending in lower case and without the dot; for well-known names without one, the name."""
    name = PurePath(path).name.lower()
    return name if name in _NAMES else PurePath(name).suffix[1:]


def is_read_apart(file: File) -> bool:
    """Whether a file is read in a child process, because its parser could crash, hang or fill the memory."""
    kind = kind_of(file.path)
    return kind in _APART or (kind in ("html", "htm", "xhtml") and len(file.content) > _LARGE_HTML)


def reader_of(path: str) -> Reader:
    """The reader for a file, by its name.

    Raises:
        Unreadable: there is none.
    """
    kind = kind_of(path)
    module, function = ("text", "read_text") if kind in _NAMES else _READERS.get(kind, ("", ""))
    if not module:
        ending = PurePath(path).suffix.lower()
        raise Unreadable(f"no reader for {ending or 'files without an ending'}")
    return cast("Reader", getattr(import_module(f"reasonir_agent.corpus.reading.{module}"), function))
