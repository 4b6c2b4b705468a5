"""Another local default does not touch what exists: a store goes on with the encoder that it was made with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.stores.encoders import stored_encoder
from reasonir_agent.testing import write_corpus
from tests.cli.conftest import Run
from tests.encoder.adapters import ship, ship_none

QUESTION = "Why do ducks not lose heat through their feet?"
Command = Callable[..., Run]


@pytest.fixture
def old(indexed: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that was made when MiniLM was the default, and its texts."""
    ship_none(monkeypatch)
    shutil.copytree(indexed, work, dirs_exist_ok=True)
    return work


def found(run: Command, store: str, **_: Any) -> list[tuple[str, float]]:
    hits = run("search", QUESTION, "--store", store, "--json").json["hits"]
    return [(hit["id"], hit["dense_score"]) for hit in hits]


def test_an_old_store_is_searched_with_its_own_encoder(
    old: Path, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(run, "store")
    ship(monkeypatch, tmp_path / "adapters")
    assert before == found(run, "store") != []
    assert stored_encoder(old / "store") == "minilm"


def test_indexing_goes_on_with_it_and_says_so(
    old: Path, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(old / "texts", {"new.txt": "Penguins stand on ice with cold feet and warm bodies."})
    assert "keeps the encoder" not in run("index", "texts", "--store", "store").err
    ship(monkeypatch, tmp_path / "adapters")
    write_corpus(old / "texts", {"newer.txt": "Seals keep warm by blubber under their skin."})
    done = run("index", "texts", "--store", "store")
    assert done.code == 0 and "1 new" in done.out
    assert stored_encoder(old / "store") == "minilm"
    told = " ".join(done.err.split())
    assert "the store keeps the encoder that it was made with, minilm; new ones are made with reasonir-mini" in told
    assert "reasonir reembed --encoder reasonir-mini" in told
    assert "keeps the encoder" not in run("index", "texts", "--store", "store", "--encoder", "minilm").err


def test_a_new_store_gets_the_default_and_keeps_it(
    old: Path, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ship(monkeypatch, tmp_path / "adapters")
    assert run("index", "texts", "--store", "new").code == 0
    assert stored_encoder(old / "new") == "reasonir-mini"
    assert found(run, "new") != found(run, "store") != []
    refused = run("search", QUESTION, "--store", "store", "--encoder", "reasonir-mini")
    assert refused.code != 0 and "they differ in weights; use --encoder minilm" in " ".join(refused.err.split())
    checked = run("doctor", "--store", "new")
    assert checked.code == 0
    (tmp_path / "adapters" / "mini" / row.adapter_files[0][0]).unlink()  # a package without it: the store still says
    gone = run("search", QUESTION, "--store", "new")
    assert gone.code != 0 and "reinstall reasonir-agent" in " ".join(gone.err.split())


def test_an_option_and_a_setting_go_before_the_default(
    old: Path, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ship(monkeypatch, tmp_path / "adapters")
    run("index", "texts", "--store", "by-option", "--encoder", "minilm")
    monkeypatch.setenv("REASONIR_ENCODER", "minilm")
    quiet = run("index", "texts", "--store", "by-setting")
    assert "keeps the encoder" not in quiet.err
    assert [stored_encoder(old / name) for name in ("by-option", "by-setting")] == ["minilm", "minilm"]
    monkeypatch.delenv("REASONIR_ENCODER")
    folder = tmp_path / "adapters" / row.adapter
    assert run("index", "texts", "--store", "by-folder", "--encoder", folder).code == 0
    assert stored_encoder(old / "by-folder") == str(folder)


@pytest.mark.slow
def test_probes_of_the_default_are_saved(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ship(monkeypatch, tmp_path / "adapters")
    assert run("doctor", "--save-probes", "probes.json", "--json").json["encoder"] == "reasonir-mini"
