"""Our encoders inside Chroma: what it keeps, what it rebuilds, and what is refused."""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings

from reasonir_agent.encoder import EncoderWarning, ReasonIREncoder
from reasonir_agent.encoder.template import DEFAULT_INSTRUCTION
from reasonir_agent.errors import EncoderError, EncoderMismatch, InputError
from reasonir_agent.stores.chroma import ReasonIREmbeddingFunction
from reasonir_agent.stores.chroma import embedding_function as module
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer

DUCKS = ["Duck feathers trap air and shed water.", "A bank run empties a solvent bank.", "Steel expands when heated."]


@pytest.fixture
def minilm() -> ReasonIREmbeddingFunction:
    return ReasonIREmbeddingFunction("minilm")


@pytest.fixture(autouse=True)
def _nothing_is_open() -> Iterator[None]:
    module._rebuilt.clear()
    yield
    module._rebuilt.clear()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    opened = chromadb.PersistentClient(path=str(tmp_path / "db"), settings=Settings(anonymized_telemetry=False))
    yield opened
    opened.close()


class TestEncoding:
    def test_documents_and_queries_go_by_their_own_roads(self) -> None:
        function = ReasonIREmbeddingFunction("minilm", query_instruction="question: ")
        encoder = ReasonIREncoder("minilm", query_instruction="question: ")
        np.testing.assert_array_equal(np.array(function(DUCKS)), encoder.encode_documents(DUCKS))
        np.testing.assert_array_equal(np.array(function.embed_query(DUCKS)), encoder.encode_queries(DUCKS))
        assert np.abs(np.array(function(DUCKS)) - np.array(function.embed_query(DUCKS))).max() > 0.01

    def test_a_list_of_arrays_of_float32(self, minilm: ReasonIREmbeddingFunction) -> None:
        for rows in (minilm(DUCKS), minilm.embed_query(DUCKS)):
            assert isinstance(rows, list)
            assert [(row.shape, row.dtype) for row in rows] == [((384,), np.float32)] * 3

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ([], "expected at least one text, got an empty list"),
            (["a", None], "expected texts, got NoneType at position 1"),
            ([b"a"], "expected texts, got bytes at position 0"),
            ("one text", "expected a list of texts, got str"),
            (None, "expected a list of texts, got NoneType"),
        ],
    )
    def test_wrong_input_is_refused_in_words(self, given: Any, words: str) -> None:
        function = ReasonIREmbeddingFunction.from_encoder(FakeEncoder())
        for call in (function, function.embed_query):
            with pytest.raises(InputError) as error:
                call(given)
            assert str(error.value) == words

    def test_ten_megabytes_are_cut_as_a_document_with_a_warning_and_refused_as_a_query(
        self, minilm: ReasonIREmbeddingFunction
    ) -> None:
        text = "duck feathers " * 715_000
        with pytest.warns(EncoderWarning, match="1 of 1 documents are longer than the window of 256 tokens"):
            (row,) = minilm([text])
        assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)
        with pytest.raises(InputError, match="up to 1,000,000 characters, got 10,010,000"):
            minilm.embed_query([text])


class TestWhatChromaKeeps:
    def test_everything_that_shapes_a_vector_and_nothing_else(self) -> None:
        function = ReasonIREmbeddingFunction("minilm", query_instruction="q: ", max_tokens=64, device="cpu")
        assert function.get_config() == {
            "model": "minilm",
            "query_prefix": "q: ",
            "document_prefix": "",
            "max_tokens": 64,
            "dim": 384,
            "fingerprint": function.encoder.fingerprint.id,
            "base_url": None,
            "api_key_env_var": None,
            "probes": None,
        }
        assert (function.name(), function.default_space()) == ("reasonir", "cosine")
        assert function.supported_spaces() == ["cosine", "ip", "l2"]

    def test_a_folder_is_kept_with_its_whole_path(self, golden_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(golden_folder.parent)
        assert ReasonIREmbeddingFunction(golden_folder.name).get_config()["model"] == str(golden_folder)

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"task": "biology"},
            {"query_instruction": "Find what helps"},
            {"query_instruction": "", "document_instruction": ""},
            {"query_instruction": "<|user|>\nall of it\n<|embed|>\n", "max_tokens": 40},
            {"document_instruction": "A passage"},
        ],
    )
    def test_a_function_rebuilt_out_of_it_has_the_same_fingerprint(
        self, golden_folder: Path, options: dict[str, Any]
    ) -> None:
        config = ReasonIREmbeddingFunction(golden_folder, **options).get_config()
        gc.collect()
        assert config["fingerprint"] not in module._open_encoders  # the guard: it is opened anew
        rebuilt = ReasonIREmbeddingFunction.build_from_config(json.loads(json.dumps(config)))
        assert rebuilt.get_config() == config

    def test_a_template_that_ends_behind_its_instruction_is_filled_in_again(self) -> None:
        usual = f"Instruct: {DEFAULT_INSTRUCTION}\nQuery:"
        assert module._instruction("Instruct: Find laws\nQuery:", usual) == "Find laws"
        assert module._instruction("Instruct: \nQuery:", usual) == ""
        assert module._instruction("Instruct:\nQuery:", usual) == "Instruct:\nQuery:"  # none of this template
        assert module._instruction("passage: ", "query: ") == "passage: "

    def test_creation_does_not_open_the_encoder_twice(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        function = ReasonIREmbeddingFunction("minilm")

        def refused(config: dict[str, Any]) -> Any:
            raise AssertionError("opened a second time")

        monkeypatch.setattr(ReasonIREmbeddingFunction, "build_from_config", refused)
        made = client.create_collection("notes", embedding_function=function)
        assert made.configuration_json["embedding_function"] == {
            "type": "known",
            "name": "reasonir",
            "config": function.get_config(),
        }
        assert made.configuration_json["hnsw"]["space"] == "cosine"


class TestRebuilding:
    def test_other_weights_under_the_same_name_are_refused(self, golden_folder: Path, tmp_path: Path) -> None:
        copy = tmp_path / "model"
        shutil.copytree(golden_folder, copy)
        config = ReasonIREmbeddingFunction(copy).get_config()
        weights = copy / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        gc.collect()
        with pytest.raises(EncoderMismatch) as error:
            ReasonIREmbeddingFunction.build_from_config(config)
        now = ReasonIREncoder(copy).fingerprint.id
        assert now != config["fingerprint"]
        assert str(error.value) == (
            f"the collection was made with the encoder {str(copy)!r} ({config['fingerprint']}), and what {str(copy)!r} "
            f"opens now is another encoder ({now}): their weights are not the same; open it with the encoder it was made "
            "with, or encode its texts anew: reasonir reembed --chroma FOLDER --collection NAME --encoder NAME"
        )

    def test_another_window_is_named(self) -> None:
        config = {**ReasonIREmbeddingFunction("minilm").get_config(), "fingerprint": "0" * 16, "max_tokens": 9999}
        with pytest.raises(EncoderMismatch, match="they differ in max tokens;"):
            ReasonIREmbeddingFunction.build_from_config(config)

    def test_a_model_that_is_not_here_is_said_with_the_way_out(self) -> None:
        config = {**ReasonIREmbeddingFunction("minilm").get_config(), "fingerprint": "0" * 16, "model": "gone"}
        with pytest.raises(
            InputError, match=r"'gone' \(0+\), which cannot be opened here: unknown encoder 'gone'.*open_c"
        ):
            ReasonIREmbeddingFunction.build_from_config(config)

    @pytest.mark.parametrize("name", ["model", "fingerprint", "max_tokens", "dim", "query_prefix", "base_url"])
    def test_a_configuration_that_is_none_of_ours(self, minilm: ReasonIREmbeddingFunction, name: str) -> None:
        with pytest.raises(InputError, match=f"has no usable '{name}'"):
            ReasonIREmbeddingFunction.build_from_config({**minilm.get_config(), name: ["x"]})

    def test_an_encoder_that_is_open_is_used_again(self, minilm: ReasonIREmbeddingFunction) -> None:
        assert ReasonIREmbeddingFunction.build_from_config(minilm.get_config()).encoder is minilm.encoder
        fake = FakeEncoder("of my own")
        config = ReasonIREmbeddingFunction.from_encoder(fake).get_config()
        assert ReasonIREmbeddingFunction.build_from_config(config).encoder is fake

    def test_two_rebuilt_encoders_are_kept_and_no_more(self) -> None:
        configs = [ReasonIREmbeddingFunction("minilm", max_tokens=n).get_config() for n in (32, 48, 64)]
        gc.collect()
        first = ReasonIREmbeddingFunction.build_from_config(configs[0]).encoder
        assert ReasonIREmbeddingFunction.build_from_config(configs[0]).encoder is first
        for config in configs[1:]:
            ReasonIREmbeddingFunction.build_from_config(config)
        assert list(module._rebuilt) == [config["fingerprint"] for config in configs[1:]]

    def test_a_changed_fingerprint_is_no_update(self, minilm: ReasonIREmbeddingFunction, client: Any) -> None:
        client.create_collection("notes", embedding_function=minilm)
        other = ReasonIREmbeddingFunction("minilm", query_instruction="q: ")
        with pytest.raises(EncoderMismatch, match="the new function's would be of the encoder 'minilm'"):
            other.validate_config_update(minilm.get_config(), other.get_config())
        with pytest.raises(ValueError, match="would be of the encoder"):
            client.get_collection("notes").modify(configuration={"embedding_function": other})
        minilm.validate_config_update(minilm.get_config(), minilm.get_config())


class TestAServersEncoder:
    @pytest.fixture
    def server(self) -> Iterator[ScriptedChatServer]:
        theirs = FakeEncoder("theirs", dim=16)
        with ScriptedChatServer(embed=theirs.encode_documents, api_key="a-key-of-any-shape") as opened:
            yield opened

    def test_address_and_variable_are_kept_and_the_key_is_not(
        self, server: ScriptedChatServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REASONIR_ENCODER_KEY", "a-key-of-any-shape")
        made = ReasonIREmbeddingFunction("m", base_url=server.base_url, api_key_env_var="REASONIR_ENCODER_KEY")
        config, before = made.get_config(), np.array(made(DUCKS))
        assert "a-key-of-any-shape" not in json.dumps(config)
        assert (config["base_url"], config["api_key_env_var"]) == (server.base_url, "REASONIR_ENCODER_KEY")
        del made
        gc.collect()
        rebuilt = ReasonIREmbeddingFunction.build_from_config(config)
        np.testing.assert_array_equal(np.array(rebuilt(DUCKS)), before)
        assert rebuilt.get_config() == config
        monkeypatch.setenv("REASONIR_ENCODER_KEY", "a-refused-key-of-any-shape")
        with pytest.raises(EncoderError) as error:
            ReasonIREmbeddingFunction("m", base_url=server.base_url, api_key_env_var="REASONIR_ENCODER_KEY")
        assert "a-refused-key" not in str(error.value)

    def test_another_model_behind_the_same_name_is_refused(self) -> None:
        """Its weights cannot be hashed, so its fingerprint is the same; the vectors of the fixed texts are not."""
        models = [FakeEncoder("theirs", dim=16), FakeEncoder("swapped", dim=16)]
        with ScriptedChatServer(embed=lambda texts: models[0].encode_documents(texts)) as server:
            made = ReasonIREmbeddingFunction("m", base_url=server.base_url)
            config = json.loads(json.dumps(made.get_config()))
            assert config["probes"]
            del made
            gc.collect()
            del ReasonIREmbeddingFunction.build_from_config(config).encoder
            module._rebuilt.clear()
            models.reverse()
            now = ReasonIREmbeddingFunction("m", base_url=server.base_url)
            assert now.get_config()["fingerprint"] == config["fingerprint"]
            with pytest.raises(EncoderMismatch, match="its server gives other vectors than it did"):
                ReasonIREmbeddingFunction.build_from_config(config)
            with pytest.raises(EncoderMismatch, match="its server gives other vectors than it did"):
                now.validate_config_update(config, now.get_config())

    def test_a_variable_that_is_not_set_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("REASONIR_ENCODER_KEY", raising=False)
        with pytest.raises(
            InputError, match="variable REASONIR_ENCODER_KEY, which is to hold the server's key, is not"
        ):
            ReasonIREmbeddingFunction("m", base_url="http://127.0.0.1:9/v1", api_key_env_var="REASONIR_ENCODER_KEY")

    @pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "HOME", "REASONIR_", "xREASONIR_KEY", "REASONIR_KEY\n"])
    def test_a_collection_cannot_name_another_secret(self, minilm: ReasonIREmbeddingFunction, variable: str) -> None:
        config = {**minilm.get_config(), "base_url": "http://127.0.0.1:9/v1", "api_key_env_var": variable}
        with pytest.raises(InputError, match="must be a name like REASONIR_ENCODER_KEY"):
            ReasonIREmbeddingFunction.build_from_config(config)

    def test_an_address_with_a_secret_is_refused(self) -> None:
        with pytest.raises(InputError, match="must not hold a secret") as error:
            ReasonIREmbeddingFunction("m", base_url="http://me:pa55word@127.0.0.1:9/v1")
        assert "pa55word" not in str(error.value)


_REOPEN = """
import sys, chromadb
{imports}
client = chromadb.PersistentClient(path=sys.argv[1], settings=chromadb.config.Settings(anonymized_telemetry=False))
collection = client.get_collection("notes")
try:
    print(collection.query(query_texts=["Why do ducks stay dry?"], n_results=1)["ids"])
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("imports", "said"),
    [
        ("from reasonir_agent.stores.chroma import ReasonIREmbeddingFunction", "[['0']]"),
        ("import reasonir_agent.stores.chroma.embedding_function", "[['0']]"),
        ("", "Embedding function reasonir not found. Add @register_embedding_function decorator"),
    ],
)
def test_a_fresh_process_rebuilds_it_once_the_class_is_imported(tmp_path: Path, imports: str, said: str) -> None:
    client = chromadb.PersistentClient(path=str(tmp_path), settings=Settings(anonymized_telemetry=False))
    made = client.create_collection("notes", embedding_function=ReasonIREmbeddingFunction("minilm"))
    made.add(ids=["0", "1", "2"], documents=DUCKS)
    client.close()
    code = _REOPEN.format(imports=imports)
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.stdout.startswith(said), (ran.stdout, ran.stderr)


def test_the_door_registers_and_is_lazy() -> None:
    code = (
        "import sys; import reasonir_agent.stores.chroma as door; assert 'chromadb' not in sys.modules\n"
        "assert set(door.__all__) <= set(dir(door)); door.open_collection\n"
        "from chromadb.utils.embedding_functions import known_embedding_functions as known\n"
        "assert known['reasonir'] is door.ReasonIREmbeddingFunction; assert 'torch' not in sys.modules\n"
        "try: door.nothing\nexcept AttributeError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout == "module 'reasonir_agent.stores.chroma' has no attribute 'nothing'\n", ran.stderr
