"""Every architecture of the table, on tiny random checkpoints, against plain torch: prefix, network, pooling by hand.

A checkpoint is opened through the row of the table, as if it had just been fetched from the hub. Bidirectional decoders
are computed here without the switch that we use: a causal stock model is given a whole attention mask of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from reasonir_agent.encoder import KNOWN_ENCODERS, ReasonIREncoder, locate
from reasonir_agent.encoder.known import MULTILINGUAL_ENCODER, known_encoder
from reasonir_agent.encoder.torch_backbone import CONFIG_MAPPING
from reasonir_agent.errors import CheckpointError

QUERIES = ["why is the sky blue", "a", "light scatters"]
DOCUMENTS = ["small waves scatter more than long ones .", "b", "air light air light air", "why is the sky blue"]

DECODER = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.3,
    "max_position_embeddings": 96,
}


class Hub:
    """Gives the folders that were put there, under the hub's names."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}

    def open(self, name: str, folder: Path, **arguments: Any) -> ReasonIREncoder:
        row = known_encoder(name)
        assert row is not None
        self.folders[row.hub_id] = folder
        return ReasonIREncoder(name, **{"dtype": "float32", "device": "cpu", **arguments})


@pytest.fixture
def hub(monkeypatch) -> Hub:
    made = Hub()
    monkeypatch.setattr(locate, "_from_hub", lambda hub_id: made.folders[hub_id])
    return made


def vector(model: Any, ids: list[int], *, skip: int = 0, pooling: str = "mean", both_ways: bool = False) -> np.ndarray:
    """One text through the stock model, pooled and normalised by hand."""
    size = len(ids)
    mask = torch.zeros(1, 1, size, size) if both_ways else torch.ones(1, size, dtype=torch.long)
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([ids]), attention_mask=mask).last_hidden_state[0].numpy()
    pooled = {"mean": states[skip:].mean(axis=0), "cls": states[0], "last": states[-1]}[pooling]
    return pooled / np.linalg.norm(pooled)


def compare(encoder: ReasonIREncoder, tokenizer: Tokenizer, model: Any, prefixes: tuple[str, str], **how: Any) -> None:
    """Both roads against `vector`; `how["pool_prefix"]` says whether the prefix counts."""
    pool_prefix = how.pop("pool_prefix", True)
    found = []
    for encode, texts, prefix in (
        (encoder.encode_queries, QUERIES, prefixes[0]),
        (encoder.encode_documents, DOCUMENTS, prefixes[1]),
    ):
        # [CLS] and the prefix's own tokens, or nothing
        skip = 0 if pool_prefix else 1 + len(tokenizer.encode(prefix, add_special_tokens=False).ids)
        wanted = [vector(model, tokenizer.encode(prefix + text).ids, skip=skip, **how) for text in texts]
        found.append(encode(texts))
        np.testing.assert_allclose(found[-1], np.stack(wanted), rtol=0, atol=1e-5)
        assert (found[-1] @ found[-1].T - np.eye(len(texts))).max() < 0.99999  # the texts are told apart
    assert np.abs(found[0][0] - found[1][3]).max() > 1e-4 or prefixes[0] == prefixes[1]


REASONIR_PREFIXES = (
    "<|user|>\nGiven a question, retrieve relevant passages that help answer the question\n<|embed|>\n",
    "<|embed|>\n",
)
GRITLM_CODE = {
    "architectures": ["MistralForCausalLM"],
    "auto_map": {
        "AutoModel": "modeling_gritlm7b.MistralModel",
        "AutoModelForCausalLM": "modeling_gritlm7b.MistralForCausalLM",
    },
}
REASONIR_CODE = {"architectures": ["ReasonIRModel"], "auto_map": {"AutoModel": "modeling_reasonir_8b.ReasonIRModel"}}


@pytest.fixture
def llama(seeded, tmp_path, save_checkpoint, make_tokenizer) -> SimpleNamespace:
    from transformers import LlamaConfig, LlamaModel

    tokenizer = make_tokenizer(after=())
    model = LlamaModel(LlamaConfig(**DECODER)).eval()
    folder = save_checkpoint(tmp_path / "llama", model, tokenizer=tokenizer, config=REASONIR_CODE)
    return SimpleNamespace(folder=folder, model=model, tokenizer=tokenizer)


@pytest.fixture
def mistral(seeded, tmp_path, save_checkpoint, make_tokenizer) -> SimpleNamespace:
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = make_tokenizer(after=())
    model = MistralForCausalLM(MistralConfig(**DECODER, sliding_window=3)).eval()
    folder = save_checkpoint(tmp_path / "mistral", model, tokenizer=tokenizer, config=GRITLM_CODE)
    return SimpleNamespace(folder=folder, model=model.model, tokenizer=tokenizer)


def test_llama_as_reasonir(hub, llama):
    encoder = hub.open("reasonir-8b", llama.folder)
    compare(encoder, llama.tokenizer, llama.model, REASONIR_PREFIXES, both_ways=True, pool_prefix=False)
    causal = vector(llama.model, llama.tokenizer.encode(REASONIR_PREFIXES[1] + DOCUMENTS[0]).ids, skip=6)
    assert np.abs(causal - encoder.encode_documents(DOCUMENTS[:1])[0]).max() > 1e-3


def test_mistral_as_gritlm_encodes_with_full_attention(hub, mistral):
    config = json.loads((mistral.folder / "config.json").read_text())
    assert config["sliding_window"] == 3
    assert any(key.startswith("model.layers.0") for key in keys(mistral.folder))  # a causal model with a head
    encoder = hub.open("gritlm-7b", mistral.folder)
    compare(encoder, mistral.tokenizer, mistral.model, REASONIR_PREFIXES, both_ways=True, pool_prefix=False)
    assert encoder._engine.heavy_backbone().model.config.sliding_window is None


def keys(folder: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as stream:
        return list(stream.keys())


@pytest.mark.parametrize(("fixture", "name"), [("llama", "reasonir-8b"), ("mistral", "gritlm-7b")])
def test_a_folder_is_recognised_by_the_classes_it_asks_for(request, hub, fixture, name):
    folder = request.getfixturevalue(fixture).folder
    by_folder = ReasonIREncoder(folder, dtype="float32")
    by_name = hub.open(name, folder)
    assert by_folder.fingerprint == by_name.fingerprint
    np.testing.assert_array_equal(by_folder.encode_queries(QUERIES), by_name.encode_queries(QUERIES))


def test_a_plain_llama_is_not_taken_for_an_encoder_of_ours(llama):
    path = llama.folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in config.items() if k not in REASONIR_CODE}))
    encoder = ReasonIREncoder(llama.folder, dtype="float32")
    assert (encoder.query_prefix, encoder.document_prefix) == ("", "")
    compare(encoder, llama.tokenizer, llama.model, ("", ""), both_ways=False)


@pytest.fixture
def nomic_model(seeded) -> Any:
    from transformers import NomicBertConfig, NomicBertModel

    config = NomicBertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        initializer_range=0.3,
        max_position_embeddings=96,
        type_vocab_size=2,
        pad_token_id=0,
        layer_norm_eps=1e-12,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
    )
    return NomicBertModel(config, add_pooling_layer=False).eval()


NOMIC_PREFIXES = ("search_query: ", "search_document: ")
PUBLISHED_NOMIC = {
    "activation_function": "swiglu",
    "architectures": ["NomicBertModel"],
    "auto_map": {
        "AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig",
        "AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel",
    },
    "attn_pdrop": 0.0,
    "causal": False,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "model_type": "nomic_bert",
    "n_embd": 32,
    "n_head": 4,
    "n_inner": 48,
    "n_layer": 2,
    "n_positions": 96,
    "pad_vocab_size_multiple": 64,
    "parallel_block": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_scaling_factor": None,
    "torch_dtype": "float32",
    "type_vocab_size": 2,
    "use_rms_norm": False,
    "vocab_size": 64,
}
"""The keys of the published configuration that say something, with tiny sizes."""


def published_nomic_weights(model: Any) -> dict[str, torch.Tensor]:
    """The same tensors under the names of the first published checkpoints, query, key and value in one."""
    names = {
        "embeddings.LayerNorm": "emb_ln",
        "self_attn.o_proj": "attn.out_proj",
        "mlp.up_proj": "mlp.fc11",
        "mlp.gate_proj": "mlp.fc12",
        "mlp.down_proj": "mlp.fc2",
        "post_attention_layernorm": "norm1",
        "post_mlp_layernorm": "norm2",
    }
    state = model.state_dict()
    made: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if "k_proj" in name or "v_proj" in name or "inv_freq" in name or "position_ids" in name:
            continue
        if "q_proj" in name:
            parts = [state[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            name, tensor = name.replace("self_attn.q_proj", "attn.Wqkv"), torch.cat(parts)
        for ours, published in names.items():
            name = name.replace(ours, published)
        made[f"encoder.{name}" if name.startswith("layers.") else name] = tensor.clone()
    return made


@pytest.mark.parametrize("names", ["native", "published"])
def test_nomic_bert_in_its_native_and_its_published_form(
    hub, nomic_model, names, tmp_path, save_checkpoint, make_tokenizer
):
    tokenizer = make_tokenizer()
    folder = save_checkpoint(tmp_path / "nomic", nomic_model, tokenizer=tokenizer)
    if names == "published":
        (folder / "config.json").write_text(json.dumps(PUBLISHED_NOMIC))
        save_file(published_nomic_weights(nomic_model), str(folder / "model.safetensors"), metadata={"format": "pt"})
        assert "encoder.layers.1.attn.Wqkv.weight" in keys(folder)
    encoder = hub.open("nomic-v1.5", folder)
    assert (encoder.dim, encoder.window) == (32, 96)
    compare(encoder, tokenizer, nomic_model, NOMIC_PREFIXES)


def test_the_rotation_of_a_published_nomic_checkpoint_is_read(hub, nomic_model, tmp_path, save_checkpoint):
    folder = save_checkpoint(tmp_path / "nomic", nomic_model)
    vectors = []
    for base in (1000, 10_000):
        (folder / "config.json").write_text(json.dumps({**PUBLISHED_NOMIC, "rotary_emb_base": base}))
        vectors.append(hub.open("nomic-v1.5", folder).encode_documents(DOCUMENTS))
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-4


@pytest.fixture
def qwen(seeded, tmp_path, save_checkpoint, make_tokenizer) -> SimpleNamespace:
    from transformers import Qwen3Config, Qwen3Model

    tokenizer = make_tokenizer(before=(), after=("[SEP]",))  # an end of text behind, nothing before
    model = Qwen3Model(Qwen3Config(**DECODER)).eval()
    folder = save_checkpoint(tmp_path / "qwen", model, tokenizer=tokenizer)
    return SimpleNamespace(folder=folder, model=model, tokenizer=tokenizer)


@pytest.mark.parametrize("name", ["diver-0.6b", "diver-4b"])
def test_qwen3_as_diver_takes_the_last_token_and_stays_causal(hub, qwen, name):
    encoder = hub.open(name, qwen.folder)
    query = "Instruct: Given a question, retrieve relevant passages that help answer the question\nQuery:"
    compare(encoder, qwen.tokenizer, qwen.model, (query, ""), pooling="last")
    assert getattr(encoder._engine.heavy_backbone().model.config, "is_causal", None) is not False


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_bert_as_multilingual_e5(hub, tmp_path, save_checkpoint, make_tokenizer, tiny_bert, kind):
    around = {"before": ("<s>",), "after": ("</s>",)} if kind == "unigram" else {}
    tokenizer = make_tokenizer(kind=kind, **around)
    model = tiny_bert()
    encoder = hub.open("multilingual-e5-small", save_checkpoint(tmp_path / "e5", model, tokenizer=tokenizer))
    assert encoder.window == 64
    compare(encoder, tokenizer, model, ("query: ", "passage: "))
    [split] = encoder._tokenizer.split(["why is the sky blue"], "query: ")
    assert [*split.head, *split.body, *split.tail] == tokenizer.encode("query: why is the sky blue").ids
    assert len(split.tail) == 1


def test_the_published_minilm_row_is_the_local_default(minilm):
    row = known_encoder("minilm")
    encoder = minilm(numpy=True)
    assert (encoder.dim, encoder.window) == (row.dim, row.window)
    assert encoder.abstain_below == row.abstain_below


def test_every_architecture_of_the_table_is_compared_above():
    assert {row.architecture for row in KNOWN_ENCODERS} == {"llama", "mistral", "nomic_bert", "qwen3", "bert"}


@pytest.mark.parametrize("name", ["reasonir-8b", "nomic-v1.5", "diver-4b"])
def test_weights_of_another_architecture_under_a_known_name_are_refused(
    hub, name, tmp_path, save_checkpoint, tiny_bert
):
    encoder = hub.open(name, save_checkpoint(tmp_path / "bert", tiny_bert()))
    with pytest.raises(CheckpointError, match=r"do not fit the architecture|failed"):
        encoder.encode_queries(["why"])


@pytest.fixture
def opened_tables() -> Callable[[str], list[Any]]:
    return lambda field: [getattr(row, field) for row in KNOWN_ENCODERS]


def test_names_are_unique_and_found_in_any_case(opened_tables):
    whole = [row for row in KNOWN_ENCODERS if not row.adapter]  # a shipped adapter has its base's hub id
    names = [name.lower() for name in (*opened_tables("name"), *(row.hub_id for row in whole))]
    assert len(set(names)) == len(names)
    for row in KNOWN_ENCODERS:
        for name in (row.name, row.name.upper()):
            assert known_encoder(name) is row
    for row in whole:
        for name in (row.hub_id, row.hub_id.upper()):
            assert known_encoder(name) is row
    assert known_encoder("") is None
    assert known_encoder("reasonir") is None


def test_licences_say_what_they_allow():
    for row in KNOWN_ENCODERS:
        assert row.licence in ("Apache-2.0", "MIT", "CC-BY-NC-4.0")
        assert row.commercial == ("-NC-" not in row.licence)
    assert not known_encoder("reasonir-8b").commercial


def test_rows_hold_what_the_loader_understands():
    for row in KNOWN_ENCODERS:
        assert row.architecture in CONFIG_MAPPING
        assert row.pooling in ("mean", "cls", "last")
        assert row.languages in ("en", "en+code", "many")
        assert row.window >= 256 and row.dim >= 384
        assert ("{instruction}" in row.query_template) == bool(row.instruction)
        assert "{" not in row.document_prefix
        assert row.hub_id.count("/") == 1
        assert row.abstain_below is None or 0 < row.abstain_below < 1


def test_the_table_has_the_encoders_of_the_design_and_a_multilingual_one():
    sizes = {row.name: (row.dim, row.window) for row in KNOWN_ENCODERS}
    assert sizes["reasonir-8b"] == (4096, 32768)
    assert sizes["minilm"] == (384, 256)
    assert {"gritlm-7b", "nomic-v1.5", "diver-0.6b", "diver-4b"} < set(sizes)
    assert known_encoder(MULTILINGUAL_ENCODER).languages == "many"
