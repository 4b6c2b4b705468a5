"""`reasonir index PATH...`"""

from __future__ import annotations

from typing import Annotated

import typer

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import EncoderOption, JsonOption, StoreOption
from reasonir_agent.cli.settings import choose
from reasonir_agent.errors import InputError


def index(
    paths: Annotated[list[str], typer.Argument(help="Files or folders.", show_default=False)],
    store: StoreOption = None,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read, split and encode files and folders; a second run encodes only what changed."""
    choices = choose(store=store, encoder=encoder)
    _check_paths(paths)
    with screen.python_warnings(), choices.open_corpus(create=True) as corpus, screen.progress() as progress:
        report = corpus.index(list(paths), progress=progress)
    if as_json:
        screen.print_json(report.as_json())
    else:
        screen.print_index(report, choices.store)


def _check_paths(paths: list[str]) -> None:
    """Refuse a wrong path, and folders without files, before a store is made for them."""
    from reasonir_agent.corpus.reading import find_files

    if not [path for path in paths if next(iter(find_files(path)), None) is not None]:
        raise InputError(f"nothing to index: {', '.join(map(repr, paths))} holds no files")
