"""Pushing to the hub: the hub's own library against a hub on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from reasonir_agent.errors import InputError, StoreError
from reasonir_trainer.synthesis.finishing import finish
from reasonir_trainer.synthesis.push import push
from tests.trainer.data_sets import SETTINGS, row, seed, write_items, write_seeds
from tests.trainer.synthesis.hub import TOKEN, Hub

pytest.importorskip("huggingface_hub")

# the hub's own library, huggingface_hub 2.4, sends files by a deprecated argument of httpx
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SECRET = "plain-word-that-looks-like-nothing"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_seeds(tmp_path, [seed(1)])
    finish(write_items(tmp_path, [row(1), row(2)]), settings=SETTINGS)
    return tmp_path


def test_table_card_and_summary_arrive_and_nothing_else(hub: Hub, folder: Path) -> None:
    url = push(folder, "me/set", endpoint=hub.address, token=TOKEN)
    assert url == f"{hub.address}/datasets/me/set"
    assert hub.private == {"me/set": True}
    names = ("README.md", "data.parquet", "summary.json")
    assert hub.files == {name: (folder / name).read_bytes() for name in names}


def test_a_second_push_replaces_the_first(hub: Hub, folder: Path) -> None:
    push(folder, "me/set", endpoint=hub.address, token=TOKEN)
    finish(write_items(folder, [row(1), row(2), row(3)]), settings=SETTINGS)
    push(folder, "me/set", endpoint=hub.address, token=TOKEN)
    assert hub.files["data.parquet"] == (folder / "data.parquet").read_bytes()


def test_a_public_repository_is_not_taken_for_a_private_one(hub: Hub, folder: Path) -> None:
    hub.private["me/set"] = False
    with pytest.raises(InputError, match="'me/set' is there already and public"):
        push(folder, "me/set", endpoint=hub.address, token=TOKEN)
    assert hub.files == {}
    push(folder, "me/set", private=False, endpoint=hub.address, token=TOKEN)
    assert hub.files


@pytest.mark.parametrize("token", [TOKEN[:-1] + "y", SECRET])
def test_a_refused_token_stands_in_no_message(
    hub: Hub, folder: Path, token: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError, match=r"pushing to 'me/set' failed: .*the token \[secret\] is refused") as caught:
        push(folder, "me/set", endpoint=hub.address, token=token)
    shown = str(caught.value) + repr(caught.value.__cause__) + caplog.text + str(capsys.readouterr())
    assert token not in shown and hub.files == {}


def test_a_hub_that_is_not_there_is_said(hub: Hub, folder: Path) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(StoreError, match="pushing to 'me/set' failed"):
        push(folder, "me/set", endpoint=hub.address, token=TOKEN)


def test_an_unfinished_run_is_not_pushed(hub: Hub, tmp_path: Path) -> None:
    write_items(tmp_path, [row(1)])
    with pytest.raises(InputError, match=r"holds no README\.md: only a finished data set can be pushed"):
        push(tmp_path, "me/set", endpoint=hub.address, token=TOKEN)
