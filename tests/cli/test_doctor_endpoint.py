"""`reasonir doctor --endpoint`: the command line over the examination of servers; and the store's doctor as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reasonir_agent.testing import FakeEncoder, ScriptedChatServer
from tests.cli.conftest import Run
from tests.encoder.mistaken import PlainLlama
from tests.server.conftest import running
from tests.threads import one_thread as one_thread

Command = Callable[..., Run]


@pytest.fixture
def probes(run: Command, golden_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What servers of the tiny checkpoint can give, saved once by the command."""
    path = tmp_path_factory.getbasetemp() / "probes.json"
    if not path.exists():
        done = run("doctor", "--encoder", golden_folder, "--save-probes", path, "--json")
        assert done.code == 0, done.err
        assert done.json["probes"] == str(path)
        assert done.json["fingerprint"]["dim"] == 64
    return path


@pytest.mark.slow
def test_a_right_server_gives_0(run: Command, probes: Path, golden_folder: Path) -> None:
    with ScriptedChatServer(embed=PlainLlama(golden_folder).whole_strings) as server:
        done = run("doctor", "--endpoint", server.base_url, "--model", "m", "--probes", probes)
    assert done.code == 0, done.out
    assert "right: the vectors are those of" in done.out
    assert "not compared:" in done.out


@pytest.mark.slow
def test_a_wrong_server_gives_2_and_its_mistakes_with_a_table(run: Command, probes: Path, golden_folder: Path) -> None:
    wrong = PlainLlama(golden_folder, "causal", "pools all", "no norm")
    with ScriptedChatServer(embed=wrong.whole_strings) as server:
        done = run("doctor", "--endpoint", server.base_url, "--model", "m", "--probes", probes)
        as_json = run("doctor", "--endpoint", server.base_url, "--model", "m", "--probes", probes, "--json")
    assert done.code == as_json.code == 2
    assert "with mistakes: causal mask, instruction pooled, not normalised" in " ".join(done.out.split())
    assert "causal mask + instruction pooled 1.0000" in " ".join(done.out.split())
    assert "right 0." in " ".join(done.out.split())  # the table always shows how far from right it is
    found = as_json.json
    assert found["sound"] is False
    assert [one["mistake"] for one in found["mistakes"]] == ["causal mask", "instruction pooled", "not normalised"]
    assert found["cosines"][0]["variant"] == "causal mask + instruction pooled"
    assert found["cosines"][0]["mean"] > 0.9999 > found["cosines"][1]["mean"]
    assert found["norms"]["greatest"] > 1.5


@pytest.mark.slow
def test_the_local_default_is_compared_with_where_it_fits(run: Command, indexed: Path) -> None:
    from reasonir_agent.encoder import ReasonIREncoder

    local = ReasonIREncoder("minilm")
    with running(local) as server:
        done = run("doctor", "--endpoint", f"{server.url}/v1")
    assert done.code == 0, done.err
    assert "a model for each role" in done.out
    assert "right: the vectors are those of 'minilm'" in done.out


@pytest.mark.slow
def test_the_key_comes_from_the_environment_and_is_never_shown(
    run: Command, probes: Path, golden_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = PlainLlama(golden_folder)
    with ScriptedChatServer(embed=right.whole_strings, api_key="some secret words") as server:
        arguments = ("doctor", "--endpoint", server.base_url, "--model", "m", "--probes", probes)
        monkeypatch.setenv("OPENAI_API_KEY", "other secret words")
        refused = run(*arguments, "--json")
        monkeypatch.setenv("OPENAI_API_KEY", "some secret words")
        assert run(*arguments).code == 0
    assert refused.code == 2
    assert "401" in refused.json["error"]
    assert "secret words" not in refused.out + refused.err


def test_a_server_of_an_unknown_encoder_needs_to_be_told_which(run: Command) -> None:
    with ScriptedChatServer(embed=lambda texts: FakeEncoder(dim=48).encode_queries(texts)) as server:
        done = run("doctor", "--endpoint", server.base_url, "--model", "theirs", "--json")
        assert done.code == 2
        assert "say which encoder 'theirs' (48 numbers) should be: --encoder" in done.json["error"]
        done = run("doctor", "--endpoint", server.base_url, "--json")
        assert "needs the server's model name" in done.json["error"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "m"), "go with --endpoint"),
        (("--probes", "x"), "go with --endpoint"),
        (("--probes", "x", "--save-probes", "y"), "--probes stands for --encoder"),
        (
            ("--endpoint", "http://127.0.0.1:9/v1", "--probes", "x", "--encoder", "minilm"),
            "--probes stands for --encoder",
        ),
        (("--endpoint", "http://127.0.0.1:9/v1", "--rebuild"), "are about a store"),
        (("--endpoint", "http://127.0.0.1:9/v1", "--store", "x"), "are about a store"),
        (("--endpoint", "not-an-address"), "must start with http:// or https://"),
        (("--save-probes", "y", "--model", "m"), "go with --endpoint"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run: Command, words: tuple[str, ...], said: str) -> None:
    done = run("doctor", *words, "--json")
    assert done.code == 2
    assert said in done.json["error"]


def test_a_damaged_file_of_probes_is_refused(run: Command, work: Path) -> None:
    (work / "probes.json").write_text(json.dumps({"format": "something else"}))
    with ScriptedChatServer(embed=lambda texts: FakeEncoder(dim=48).encode_queries(texts)) as server:
        done = run("doctor", "--endpoint", server.base_url, "--model", "m", "--probes", "probes.json", "--json")
    assert (done.code, "holds no probes" in done.json["error"]) == (2, True)


def test_a_store_is_examined_as_before(run: Command, indexed: Path) -> None:
    done = run("doctor", "--store", indexed / "store", "--json")
    assert (done.code, done.json["sound"]) == (0, True)
