"""An encoder onto the hub: the hub's own library against a hub on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.errors import InputError
from reasonir_trainer.cli import main
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.push import push
from tests.trainer.synthesis.conftest import hub as hub_of_this_machine
from tests.trainer.synthesis.hub import TOKEN, Hub

pytest.importorskip("huggingface_hub")

# the hub's own library, huggingface_hub 2.4, sends files by a deprecated argument of httpx
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

hub = hub_of_this_machine
Run = tuple[Path, str, str]


@pytest.fixture
def pushed(
    hub: Hub,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run `reasonir-trainer train` with some settings; gives exit code, stdout, stderr."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    def run(*words: str, **changes: Any) -> tuple[int, str, str]:
        file = tmp_path / "config.yaml"
        file.write_text(json.dumps(settings | {"steps": 2, "evaluation": {}} | changes))
        with pytest.raises(SystemExit) as left:
            main(["train", str(file), *words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err and TOKEN not in said.out + said.err
        return int(left.value.code or 0), said.out, said.err

    yield run


@pytest.mark.slow
def test_a_run_pushes_model_adapter_and_picture_privately(
    hub: Hub, pushed: Callable[..., tuple[int, str, str]], settings: dict[str, Any]
) -> None:
    code, out, err = pushed("--json", method="lora", push_to="me/encoder")
    assert code == 0 and json.loads(out)["pushed"] == f"{hub.address}/me/encoder"
    assert hub.private == {"me/encoder": True}
    run = Path(settings["output"])
    for name in ("config.json", "model.safetensors", "modules.json", "tokenizer.json", "README.md"):
        assert hub.files[name] == (run / "model" / name).read_bytes()
    assert hub.files["adapter/adapter_model.safetensors"] == (run / "adapter/adapter_model.safetensors").read_bytes()
    assert hub.files["training.svg"] == (run / "training.svg").read_bytes()
    assert not [name for name in hub.files if "whole" in name or "checkpoint" in name or name in ("run.json",)]
    assert not [name for name, data in hub.files.items() if str(run.parent).encode() in data]
    assert "parameters: " in err and "time: " in err  # told before it began


@pytest.mark.slow
def test_a_public_repository_is_refused_and_the_encoder_stays(
    hub: Hub, pushed: Callable[..., tuple[int, str, str]], settings: dict[str, Any]
) -> None:
    hub.private["me/encoder"] = False
    code, _, err = pushed(push_to="me/encoder")
    assert code == 2 and "'me/encoder' is there already and public" in err and hub.files == {}
    assert (Path(settings["output"]) / "model" / "config.json").is_file()
    code, out, _ = pushed(push_to="me/encoder", push_public=True)  # the same run; nothing is trained again
    assert code == 0 and hub.files and f"{hub.address}/me/encoder" in out


def test_an_unfinished_run_is_not_pushed(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only a finished training run can be pushed"):
        push(tmp_path, "me/encoder", endpoint=hub.address, token=TOKEN)


def test_a_dry_run_tells_and_touches_nothing(
    pushed: Callable[..., tuple[int, str, str]], settings: dict[str, Any], make: Callable[..., TrainingConfig]
) -> None:
    code, out, _ = pushed("--dry-run")
    assert code == 0 and "parameters: " in out and "measured in a short trial" in out and "left out: " in out
    code, out, _ = pushed("--dry-run", "--tokens-per-second", "500", "--json")
    assert json.loads(out)["tokens_per_second"] == 500 and json.loads(out)["memory"]["optimizer"] > 0
    assert not Path(settings["output"]).exists()
    code, _, err = pushed("--tokens-per-second", "500")
    assert code == 2 and "goes with --dry-run" in err
