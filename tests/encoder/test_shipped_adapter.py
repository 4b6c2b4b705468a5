"""A row of the table that is an adapter shipped with this package: verified, shown, and the default where it is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reasonir_agent.encoder import ReasonIREncoder, known, locate
from reasonir_agent.encoder.adapter import CONFIG, WEIGHTS
from reasonir_agent.encoder.known import KnownEncoder, default_encoder, known_encoder
from reasonir_agent.errors import CheckpointError, InputError
from tests.encoder.adapters import MINILM_HUB_ID, ship, ship_none


@pytest.fixture
def row(minilm: Callable[..., ReasonIREncoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownEncoder:
    return ship(monkeypatch, tmp_path / "adapters")


def folder() -> Path:
    return known.ADAPTERS / "mini"


def test_it_opens_by_its_name_and_is_the_same_as_its_folder(row):
    encoder = ReasonIREncoder("reasonir-mini", dtype="float32", device="cpu")
    assert (encoder.name, encoder.window, encoder.dim) == ("reasonir-mini", 256, 384)
    assert encoder.abstain_below == 0.25  # measured with it, and not its base's
    by_path = ReasonIREncoder(folder(), dtype="float32", device="cpu")
    np.testing.assert_array_equal(encoder.encode_queries(["why"]), by_path.encode_queries(["why"]))
    assert encoder.fingerprint.id == by_path.fingerprint.id
    assert by_path.abstain_below is None


def test_it_is_the_default_where_its_files_are_there(row):
    assert default_encoder() == "reasonir-mini"
    assert ReasonIREncoder().name == "reasonir-mini"
    (folder() / WEIGHTS).unlink()
    assert default_encoder() == "minilm"
    assert ReasonIREncoder().name == "minilm"


def test_without_a_row_the_default_is_minilm(monkeypatch):
    ship_none(monkeypatch)
    assert default_encoder() == "minilm"


def test_the_bases_own_names_stay_its_own(row):
    for name in ("minilm", MINILM_HUB_ID, MINILM_HUB_ID.upper()):
        found = known_encoder(name)
        assert found is not None and found.name == "minilm"
        assert locate.locate(name).adapter is None
    assert known_encoder("Reasonir-Mini") is row


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_its_files_are_verified(row, name):
    file = folder() / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"is not the official file .*; reinstall reasonir-agent"):
        ReasonIREncoder("reasonir-mini")
    file.unlink()
    with pytest.raises(CheckpointError, match=r"lacks the file .*; reinstall reasonir-agent"):
        ReasonIREncoder("reasonir-mini")


def test_it_is_named_where_the_names_are_shown(row):
    with pytest.raises(InputError, match="none of reasonir-mini, minilm, "):
        ReasonIREncoder("nothing of the sort")


def test_what_the_table_ships_lies_in_the_package():
    for one in known.KNOWN_ENCODERS:
        assert bool(one.adapter) == bool(one.adapter_files)
        assert not one.adapter or (one.is_shipped and one.is_local)
