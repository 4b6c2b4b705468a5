"""`reasonir doctor`: what is wrong with a store, and what was done about it; or how an embeddings server is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import EncoderOption, JsonOption, StoreOption
from reasonir_agent.cli.settings import Choices, choose
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from reasonir_agent.encoder import ReasonIREncoder

_DAMAGED = 2


def doctor(
    store: StoreOption = None,
    encoder: EncoderOption = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Make the indexes anew, drop unused vectors, put a damaged manifest aside (vectors stay)."
        ),
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", help="Examine an embeddings server instead (http://HOST/v1; key: $OPENAI_API_KEY)."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The server's model (default: its only one).")] = None,
    save_probes: Annotated[
        Path | None,
        typer.Option("--save-probes", help="Write what servers of --encoder can give, right and wrong, to a file."),
    ] = None,
    probes: Annotated[
        Path | None,
        typer.Option("--probes", help="Compare --endpoint with such a file; no checkpoint is needed."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Examine a store (manifest, vectors, lexical index, Chroma, encoder) and repair it, or an embeddings server."""
    choices = choose(store=store, encoder=encoder)
    if endpoint is None and save_probes is None:
        if model is not None or probes is not None:
            raise InputError("--model and --probes go with --endpoint")
        sound = _examine_store(choices, rebuild=rebuild, as_json=as_json)
    else:
        if store is not None or rebuild:
            raise InputError(
                "--store and --rebuild are about a store; leave them out with --endpoint and --save-probes"
            )
        sound = _examine_server(choices, endpoint, model, save_probes, probes, as_json=as_json)
    if not sound:
        raise typer.Exit(_DAMAGED)


def _examine_store(choices: Choices, *, rebuild: bool, as_json: bool) -> bool:
    from reasonir_agent.corpus.doctor import examine

    with screen.python_warnings():
        findings = examine(
            choices.store,
            lambda name: choices.encoder_named(choices.encoder_option or name),
            rebuild=rebuild,
            exact_bytes=choices.exact_bytes,
        )
    sound = all(one.sound for one in findings)
    if as_json:
        screen.print_json({"sound": sound, "findings": [one.as_json() for one in findings]})
    else:
        screen.print_findings(findings, choices.store)
    return sound


def _examine_server(
    choices: Choices, endpoint: str | None, model: str | None, save: Path | None, probes: Path | None, *, as_json: bool
) -> bool:
    if probes is not None and (save is not None or choices.encoder_option is not None):
        raise InputError("--probes stands for --encoder; give one of them, and no --save-probes")
    if endpoint is None:
        if model is not None or probes is not None:
            raise InputError("--model and --probes go with --endpoint")
        assert save is not None
        _save(choices, save, as_json=as_json)
        return True
    from reasonir_agent.encoder.endpoint import examine_endpoint, right_encoder
    from reasonir_agent.encoder.remote import RemoteBackend

    key = choices.environment.get("OPENAI_API_KEY")
    remote = RemoteBackend(model, base_url=endpoint, api_key=key)
    by_roads = remote.announced is not None
    if probes is not None:
        from reasonir_agent.encoder.probe_file import load_expected

        report = examine_endpoint(remote, load_expected(probes, by_roads=by_roads))
    else:
        from reasonir_agent.encoder import ReasonIREncoder
        from reasonir_agent.encoder.mistakes import expected

        name = choices.encoder_option or right_encoder(remote, is_named=model is not None)
        local = ReasonIREncoder(name)
        if save is not None:
            _write(local, save)
        report = examine_endpoint(remote, expected(local, by_roads=by_roads))
    if as_json:
        screen.print_json(report.as_json())
    else:
        screen.print_endpoint(report)
    return report.is_right


def _save(choices: Choices, path: Path, *, as_json: bool) -> None:
    from reasonir_agent.encoder import ReasonIREncoder

    local = ReasonIREncoder(choices.encoder_option or choices.encoder_fallback)
    _write(local, path)
    if as_json:
        screen.print_json({"probes": str(path), "encoder": local.name, "fingerprint": local.fingerprint.as_json()})
    else:
        screen.note(f"the probes of {local.name} are in {path}", style="green")


def _write(local: ReasonIREncoder, path: Path) -> None:
    from reasonir_agent.encoder.mistakes import expected
    from reasonir_agent.encoder.probe_file import save_expected

    save_expected(path, expected(local, by_roads=False), expected(local, by_roads=True))
