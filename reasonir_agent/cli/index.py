"""`reasonir index PATH...`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import EncoderOption, JsonOption, StoreOption
from reasonir_agent.cli.settings import choose
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from reasonir_agent.corpus.indexing import IndexOptions


def index(
    paths: Annotated[list[str], typer.Argument(help="Files or folders.", show_default=False)],
    store: StoreOption = None,
    encoder: EncoderOption = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="Leave out what matches, as in a .gitignore. Repeatable.")
    ] = None,
    gitignore: Annotated[
        bool, typer.Option("--gitignore/--no-gitignore", help="Leave out what a git work tree ignores.")
    ] = True,
    text_field: Annotated[
        str | None, typer.Option("--text-field", help="Field of JSONL, CSV and Parquet records that is read [text].")
    ] = None,
    id_field: Annotated[str | None, typer.Option("--id-field", help="Their id field [id, _id or doc_id].")] = None,
    title_field: Annotated[str | None, typer.Option("--title-field", help="Their title field [title].")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read, split and encode files and folders; a second run encodes only what changed."""
    from reasonir_agent.corpus.indexing import IndexOptions
    from reasonir_agent.corpus.reading import Fields

    choices = choose(store=store, encoder=encoder)
    given = {"text": text_field, "id": id_field, "title": title_field}
    chosen = {name: value for name, value in given.items() if value is not None}
    options = IndexOptions(tuple(exclude or ()), gitignore, Fields(**chosen) if chosen else None)
    _check_paths(paths, options)
    try:
        with screen.python_warnings(), choices.open_corpus(create=True) as corpus, screen.progress() as progress:
            report = corpus.index(list(paths), progress=progress, options=options)
            used = corpus.encoder.name
    except KeyboardInterrupt:
        screen.note("what was encoded is safe; the same command goes on from here")
        raise
    if as_json:
        screen.print_json(report.as_json())
    else:
        screen.print_index(report, choices.store)
        if choices.encoder_option is None and choices.encoder_fallback is None:
            _tell_of_a_newer_default(used)


def _tell_of_a_newer_default(used: str) -> None:
    """A store goes on with its encoder when another one becomes the local default, and says so."""
    from reasonir_agent.encoder.known import default_encoder, known_encoder

    row, default = known_encoder(used), default_encoder()
    if row is not None and row.is_local and used != default:
        screen.note(
            f"the store keeps the encoder that it was made with, {used}; new ones are made with {default} "
            f"(reasonir reembed --encoder {default} changes this one)"
        )


def _check_paths(paths: list[str], options: IndexOptions) -> None:
    """Refuse a wrong path, and folders without files, before a store is made for them."""
    from reasonir_agent.corpus.reading import Finder

    finder = Finder(options.excludes, ignore_files=options.ignore_files)
    if not [path for path in paths if next(iter(finder.walk(path)), None) is not None]:
        raise InputError(f"nothing to index: {', '.join(map(repr, paths))} holds no files")
