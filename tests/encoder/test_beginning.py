"""The first tokens of a text, and how many weights a token meets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer


@pytest.fixture(scope="module")
def golden_encoder(golden_folder: Path) -> ReasonIREncoder:
    return ReasonIREncoder(golden_folder, device="cpu", dtype="float32")


@pytest.fixture
def word_encoder(
    tmp_path: Path, tiny_bert: Callable[..., Any], save_checkpoint: Callable[..., Path]
) -> ReasonIREncoder:
    return ReasonIREncoder(save_checkpoint(tmp_path / "bert", tiny_bert()), device="cpu", dtype="float32")


class TestBeginning:
    @pytest.mark.parametrize(
        ("tokens", "beginning"),
        [(1, "w"), (3, "why"), (4, "why "), (6, "why is"), (7, "why is the"), (14, "why is the sky blu")],
    )
    def test_of_pieces_of_words(self, golden_encoder: ReasonIREncoder, tokens: int, beginning: str) -> None:
        """w h y _ i s _the _ s k y _b l u e"""
        assert golden_encoder.beginning("why is the sky blue", tokens) == beginning
        assert golden_encoder.count_tokens([beginning]) == [tokens]

    @pytest.mark.parametrize("tokens", [15, 16, 10_000])
    def test_a_text_that_is_short_enough_stays_whole(self, golden_encoder: ReasonIREncoder, tokens: int) -> None:
        assert golden_encoder.beginning("why is the sky blue", tokens) == "why is the sky blue"
        assert golden_encoder.beginning("", tokens) == ""

    def test_so_does_the_space_behind_its_last_token(self, word_encoder: ReasonIREncoder) -> None:
        assert word_encoder.beginning("why is  ", 2) == "why is  "

    @pytest.mark.parametrize(
        ("tokens", "beginning"),
        [(1, "Why"), (2, "Why  IS"), (3, "Why  IS the"), (4, "Why  IS the ship"), (5, "Why  IS the ship.")],
    )
    def test_of_words_is_the_text_itself_and_not_what_the_tokenizer_makes_of_it(
        self, word_encoder: ReasonIREncoder, tokens: int, beginning: str
    ) -> None:
        """Case and spaces are the text's own, and so is the unknown "ship"."""
        assert word_encoder.beginning("Why  IS the ship. light", tokens) == beginning

    def test_a_character_of_several_tokens_is_not_torn(self, golden_encoder: ReasonIREncoder) -> None:
        assert golden_encoder.count_tokens(["中文"]) == [6]
        assert [golden_encoder.beginning("中文", tokens) for tokens in range(1, 7)] == ["中"] * 3 + ["中文"] * 3

    def test_half_of_a_surrogate_pair(self, golden_encoder: ReasonIREncoder) -> None:
        assert golden_encoder.beginning("\ud800why", 4) == "\ufffdw"

    @settings(max_examples=60, deadline=None)
    @given(text=st.text(max_size=30), tokens=st.integers(1, 40))
    def test_it_is_a_beginning_and_grows_with_the_tokens(
        self, golden_encoder: ReasonIREncoder, text: str, tokens: int
    ) -> None:
        cut, longer = golden_encoder.beginning(text, tokens), golden_encoder.beginning(text, tokens + 1)
        assert text.startswith(longer)
        assert longer.startswith(cut)
        whole = golden_encoder.count_tokens([text])[0]
        assert (cut == text) or whole > tokens
        assert golden_encoder.count_tokens([cut])[0] <= tokens + 3, "the last character may be of up to four tokens"

    def test_of_a_remote_encoder_is_an_estimate_in_bytes(self) -> None:
        with ScriptedChatServer(embed=FakeEncoder(dim=4).encode_queries) as server:
            remote = ReasonIREncoder("some-model", base_url=server.base_url)
        assert remote.beginning("abcdefgh", 2) == "abcdef"
        assert remote.beginning("abcdefgh", 3) == "abcdefgh"
        assert remote.beginning("ab中文", 1) == "ab"
        assert remote.beginning("\ud800b", 1) == "?b"


class TestParameters:
    def test_of_the_tiny_checkpoint_by_hand(self, golden_encoder: ReasonIREncoder) -> None:
        """64 dimensions, 4 heads and 2 for keys and values of 16, 160 inside; 415 x 64 of the embedding are left out."""
        layer = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 160 + 2 * 64
        assert golden_encoder.parameters == 3 * layer + 64 == 129_472

    def test_of_a_bert_by_hand(self, word_encoder: ReasonIREncoder) -> None:
        """Matrices with biases, two normalisations a layer; all that is called an embedding is left out."""
        layer = 4 * (32 * 32 + 32) + (32 * 48 + 48) + (48 * 32 + 32) + 2 * 2 * 32
        assert word_encoder.parameters == 2 * layer

    def test_of_a_remote_encoder_are_unknown(self) -> None:
        with ScriptedChatServer(embed=lambda texts: np.eye(len(texts), 4, dtype=np.float32)) as server:
            assert ReasonIREncoder("some-model", base_url=server.base_url).parameters is None

    def test_the_encoder_of_a_task_has_the_same(self, golden_encoder: ReasonIREncoder) -> None:
        assert golden_encoder.for_task("biology").parameters == 129_472
