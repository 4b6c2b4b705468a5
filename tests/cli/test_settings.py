"""Which of option, store, environment and reasonir.toml wins, and what a bad reasonir.toml is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasonir_agent.cli.settings import choose
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import EncoderError, InputError
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer, write_corpus


def toml(work: Path, text: str) -> None:
    (work / "reasonir.toml").write_text(text, encoding="utf-8")


def test_without_anything_the_defaults_hold(work: Path) -> None:
    choices = choose()
    assert choices.store == Path(".reasonir")
    assert (choices.encoder_option, choices.encoder_fallback, choices.llm) == (None, None, None)
    assert choices.agent == AgentSettings()


def test_the_file_beats_the_defaults(work: Path) -> None:
    toml(
        work,
        'store = "a"\nencoder = "b"\nllm = "c:d"\nk = 3\n[agent]\nrerank_depth = 7\ntemperature = 1\nrewrite = false\n',
    )
    choices = choose()
    assert (choices.store, choices.encoder_fallback, choices.llm) == (Path("a"), "b", "c:d")
    assert choices.agent == AgentSettings(k=3, rerank_depth=7, temperature=1, rewrite=False)


def test_the_environment_beats_the_file(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml(work, 'store = "a"\nencoder = "b"\nllm = "c:d"\n')
    for name in ("STORE", "ENCODER", "LLM"):
        monkeypatch.setenv(f"REASONIR_{name}", f"from:{name}")
    choices = choose()
    assert (choices.store, choices.encoder_fallback, choices.llm) == (Path("from:STORE"), "from:ENCODER", "from:LLM")


def test_an_option_beats_the_environment(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml(work, "k = 3\n")
    for name in ("STORE", "ENCODER", "LLM"):
        monkeypatch.setenv(f"REASONIR_{name}", f"from:{name}")
    choices = choose(store=Path("s"), encoder="e", llm="l:m", k=5)
    assert (choices.store, choices.encoder_option, choices.llm, choices.agent.k) == (Path("s"), "e", "l:m", 5)


def test_k_stands_at_the_top_or_among_the_agent_s_settings(work: Path) -> None:
    toml(work, "[agent]\nk = 4\n")
    assert choose().agent.k == 4
    assert choose(k=9).agent.k == 9


def test_the_store_s_encoder_beats_environment_and_file_and_loses_to_the_option(
    run: Any, indexed: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml(work, 'encoder = "nosuch-in-file"\n')
    monkeypatch.setenv("REASONIR_ENCODER", "nosuch-in-environment")
    words = ("search", "ducks", "--store", indexed / "store", "--json")
    assert len(run(*words).json["hits"]) == 3
    refused = run(*words, "--encoder", "nosuch-option")
    assert refused.code == 2
    assert "unknown encoder 'nosuch-option'" in refused.json["error"]


def test_a_new_store_takes_the_environment_s_encoder_then_the_file_s(
    run: Any, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "text.txt").write_text("Ducks.", encoding="utf-8")
    toml(work, 'encoder = "nosuch-in-file"\n')
    assert "'nosuch-in-file'" in run("index", "text.txt", "--json").json["error"]
    monkeypatch.setenv("REASONIR_ENCODER", "nosuch-in-environment")
    assert "'nosuch-in-environment'" in run("index", "text.txt", "--json").json["error"]


def test_the_environment_s_store_is_searched(run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONIR_STORE", str(indexed / "store"))
    assert len(run("search", "ducks", "--json").json["hits"]) == 3


def test_the_file_s_store_and_k_are_used(run: Any, indexed: Path, work: Path) -> None:
    toml(work, f'store = "{indexed / "store"}"\nk = 1\n')
    assert len(run("search", "ducks", "--json").json["hits"]) == 1
    assert len(run("search", "ducks", "-k", 2, "--json").json["hits"]) == 2


BAD = {
    "no toml": ("k = = 3", "cannot be read"),
    "unknown key": ("kk = 3", "unknown key 'kk'"),
    "store no text": ("store = 5", "store must be a text, got 5"),
    "encoder no text": ('encoder = ["a"]', "encoder must be a text"),
    "llm no text": ("llm = true", "llm must be a text"),
    "k no number": ('k = "eight"', "k must be a whole number, got 'eight'"),
    "k a truth value": ("k = true", "k must be a whole number, got True"),
    "k a fraction": ("k = 2.5", "k must be a whole number"),
    "k too small": ("k = 0", "k must be 1 or more, got 0"),
    "agent no table": ('agent = "fast"', "agent must be a table"),
    "unknown setting": ("[agent]\nfast = true", "unknown agent setting 'fast'"),
    "setting of a wrong kind": ("[agent]\nrerank_depth = 2.5", "rerank_depth"),
    "text for a truth value": ('[agent]\nrewrite = "no"', "rewrite must be true or false, got 'no'"),
    "text for a number": ('[agent]\ntemperature = "hot"', "temperature"),
    "a bound of a wrong kind": ("[agent]\nmax_calls = 2.5", "max_calls must be a whole number, got 2.5"),
    "a bound that is none": ('[agent]\nmax_money = "1"', "max_money must be a number, got '1'"),
    "a bound on money without prices": (
        "[agent]\nmax_money = 1",
        "given together with prompt_price and completion_price",
    ),
    "out of range": ("[agent]\nrerank_weight = 2.0", "rerank_weight must be between 0 and 1"),
}


@pytest.mark.parametrize(("text", "told"), BAD.values(), ids=BAD)
def test_a_bad_file_is_wrong_input_that_is_named(run: Any, work: Path, text: str, told: str) -> None:
    toml(work, text)
    with pytest.raises(InputError):
        choose()
    found = run("search", "why?", "--json")
    assert found.code == 2
    assert told in found.json["error"]


def test_bounds_and_prices_can_be_set(work: Path) -> None:
    lines = ["max_calls = 9", "max_tokens = 5000", "max_seconds = 30", "max_money = 1", "prompt_price = 0.25"]
    toml(work, "\n".join(["[agent]", *lines, "completion_price = 2"]))
    chosen = choose().agent
    assert (chosen.max_calls, chosen.max_tokens, chosen.max_seconds) == (9, 5000, 30)
    assert (chosen.max_money, chosen.prompt_price, chosen.completion_price) == (1, 0.25, 2)


def test_a_file_that_is_no_text_is_wrong_input(work: Path) -> None:
    (work / "reasonir.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        choose()


def test_keys_are_not_shown_with_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123456")
    assert choose().environment["OPENAI_API_KEY"] == "sk-secret-123456"
    assert "secret" not in repr(choose())


def test_the_server_s_token_comes_from_the_environment_and_an_empty_one_is_none(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose().token is None
    monkeypatch.setenv("REASONIR_TOKEN", "")
    assert choose().token is None
    monkeypatch.setenv("REASONIR_TOKEN", "hush-hush")
    assert choose().token == "hush-hush"
    assert "hush" not in repr(choose())


class TestAnEncoderByItsServersAddress:
    def test_it_is_asked_with_the_key_of_the_environment(self, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedChatServer(embed=lambda texts: np.eye(8)[: len(texts)], api_key="right") as server:
            monkeypatch.setenv("OPENAI_API_KEY", "right")
            encoder = choose(encoder=f"{server.base_url}#some/model").open_encoder()
            assert (encoder.name, encoder.dim) == ("some/model", 8)
            monkeypatch.setenv("OPENAI_API_KEY", "hush-wrong")
            with pytest.raises(EncoderError) as caught:
                choose(encoder=f"{server.base_url}#some/model").open_encoder()
        assert "hush-wrong" not in str(caught.value)

    def test_a_store_made_through_a_server_is_searched_through_it(self, work: Path, run: Any) -> None:
        fake = FakeEncoder(dim=32)
        write_corpus(work / "notes", ["ducks on ice", "bread and salt"])
        with ScriptedChatServer(embed=fake.encode_documents) as server:
            address = f"{server.base_url}#fake"
            assert run("index", "notes", "--encoder", address).code == 0
            found = run("search", "salt in bread", "--encoder", address, "--json")
        assert found.code == 0
        assert found.json["hits"][0]["text"] == "bread and salt"
