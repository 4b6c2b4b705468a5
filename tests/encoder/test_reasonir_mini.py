"""The adapter that this package ships: whole, merged as peft merges it, near its base, and opened without torch."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.encoder.known import ADAPTERS, MINILM, default_encoder, known_encoder
from reasonir_agent.encoder.locate import minilm_folder

NAME = "reasonir-mini"
TEXTS = [
    "Why does a sandy shirt button buckle under gravel?",
    "Let $X$ be a quasi-compact scheme. Then every open cover has a finite subcover.",
    "def f(x):\n    return x + 1",
    "ice",
]


def test_it_is_the_default_and_its_files_are_the_tables() -> None:
    row = known_encoder(NAME)
    assert row is not None and row.is_shipped and row.is_local
    assert default_encoder() == NAME
    folder = ADAPTERS / row.adapter
    assert {file.name for file in folder.iterdir()} == {"README.md", *(name for name, _ in row.adapter_files)}
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert size < 6_000_000
    assert "nDCG@10" in (folder / "README.md").read_text(encoding="utf-8")
    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == row.hub_id


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's call
def test_it_is_merged_as_peft_merges_it() -> None:
    torch, transformers, peft = (pytest.importorskip(name) for name in ("torch", "transformers", "peft"))
    network = transformers.AutoModel.from_pretrained(minilm_folder(), local_files_only=True)
    merged = peft.PeftModel.from_pretrained(network, str(ADAPTERS / NAME)).merge_and_unload().eval()
    ours = ReasonIREncoder(NAME, dtype="float32", device="cpu")
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_folder(), local_files_only=True)
    for text, vector in zip(TEXTS, ours.encode_documents(TEXTS), strict=True):
        with torch.inference_mode():
            states = merged(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, torch.nn.functional.normalize(states, dim=0).numpy(), rtol=0, atol=2e-6)


def test_it_moves_vectors_and_not_far() -> None:
    """The anchor's work: every vector has kept its direction, and none is the base's."""
    ours, base = (
        ReasonIREncoder(name, dtype="float32", device="cpu").encode_documents(TEXTS[:3]) for name in (NAME, MINILM)
    )
    cosines = (ours * base).sum(axis=1)
    assert (cosines > 0.8).all() and (cosines < 0.9999).all(), cosines


@pytest.mark.slow
def test_a_question_is_encoded_without_torch(fresh_python) -> None:
    found = fresh_python(
        "import sys; from reasonir_agent import ReasonIREncoder;"
        f"e = ReasonIREncoder({NAME!r}); v = e.encode_queries(['why']);"
        "print(v.shape, 'torch' in sys.modules, 'peft' in sys.modules)"
    )
    assert found.split() == ["(1,", "384)", "False", "False"]
