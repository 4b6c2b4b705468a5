"""`reasonir reembed --encoder NEW`: another encoder for the texts of a store, or of a Chroma collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import JsonOption, StoreOption
from reasonir_agent.cli.settings import choose
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from reasonir_agent.corpus.reembed import ReembedReport
    from reasonir_agent.corpus.report import Progress
    from reasonir_agent.encoder import ReasonIREncoder


def reembed(
    encoder: Annotated[str, typer.Option("--encoder", help="The new encoder: folder, known name or hub name.")],
    store: StoreOption = None,
    chroma: Annotated[
        Path | None, typer.Option("--chroma", help="A Chroma folder, in place of a store of ours.")
    ] = None,
    collection: Annotated[str | None, typer.Option("--collection", help="The collection in the Chroma folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Encode the texts of a store or a Chroma collection with another encoder, and switch to it at the end."""
    if (chroma is None) != (collection is None):
        raise InputError("--chroma FOLDER and --collection NAME belong together, got only one of them")
    choices = choose(store=store, encoder=encoder)
    new = choices.encoder_named(encoder)
    with screen.python_warnings(), screen.progress(unit="texts") as progress:
        if chroma is not None and collection is not None:
            report = _collection(chroma, collection, new, progress)
        else:
            from reasonir_agent.corpus.reembed import reembed_store

            report = reembed_store(choices.store, new, progress=progress, exact_bytes=choices.exact_bytes)
    screen.print_json(report.as_json()) if as_json else screen.print_reembed(report)


def _collection(folder: Path, name: str, encoder: ReasonIREncoder, progress: Progress | None) -> ReembedReport:
    from reasonir_agent.corpus.reembed import reembed_collection
    from reasonir_agent.stores.chroma.collection import Collection

    staging = folder.absolute().with_name(f"{folder.absolute().name}.reembed") / f"{name}-{encoder.fingerprint.id}"
    opened = Collection(folder, name, encoder.fingerprint.id)
    try:
        return reembed_collection(opened, encoder, staging=staging, progress=progress)
    finally:
        opened.close()
