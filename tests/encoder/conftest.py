"""Tools of the encoder's tests: the reference vectors, fresh interpreters, tiny checkpoints of random weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from reasonir_agent.encoder import ReasonIREncoder, files, locate
from tests.threads import one_thread as one_thread

ROOT = Path(__file__).resolve().parents[2]
WORDS = "why is the sky blue light scatters air small waves more than long ones : . < | > user embed search query document a b".split()


@pytest.fixture(scope="session")
def golden(golden_folder: Path) -> SimpleNamespace:
    """`texts` and `vectors[dtype][instruction]`, made by the reference implementation."""
    found = json.loads((golden_folder / "golden.json").read_text(encoding="utf-8"))
    vectors = {
        dtype: {run["instruction"]: np.asarray(run["embeddings"], dtype=np.float32) for run in runs}
        for dtype, runs in found["dtypes"].items()
    }
    return SimpleNamespace(texts=found["texts"], vectors=vectors)


@pytest.fixture
def open_golden(golden_folder: Path) -> Callable[..., ReasonIREncoder]:
    def opened(folder: Path = golden_folder, **arguments: Any) -> ReasonIREncoder:
        return ReasonIREncoder(folder, **{"dtype": "float32", "device": "cpu", **arguments})

    return opened


@pytest.fixture
def golden_copy(golden_folder: Path, tmp_path: Path) -> Path:
    """A copy of the reference checkpoint that a test may change."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in golden_folder.iterdir():
        shutil.copyfile(path, folder / path.name)
    return folder


@pytest.fixture(scope="session")
def minilm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CACHE_FOLDER", tmp_path_factory.mktemp("hashes"))
        return locate.minilm_folder()


@pytest.fixture
def minilm(minilm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ReasonIREncoder]:
    """Opens MiniLM by its name without hashing 90 MB again in each test; `numpy=True` keeps it off torch."""
    monkeypatch.setattr(locate, "minilm_folder", lambda: minilm_folder)

    def opened(*, numpy: bool = False, **arguments: Any) -> ReasonIREncoder:
        encoder = ReasonIREncoder("minilm", **{"dtype": "float32", "device": "cpu", **arguments})
        monkeypatch.setattr(encoder._engine, "stays_light", lambda _tokens: numpy)
        return encoder

    return opened


@pytest.fixture
def fresh_python(tmp_path: Path) -> Callable[..., str]:
    """Runs code in a new interpreter with a home of its own and returns what it printed."""

    def run(code: str, **environment: str) -> str:
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_", "REASONIR_", "OPENAI_"))
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**kept, "HOME": str(tmp_path), **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def word_tokenizer(
    *, before: Sequence[str] = ("[CLS]",), after: Sequence[str] = ("[SEP]",), kind: str = "wordpiece"
) -> Tokenizer:
    """A tokenizer of few words with special tokens around a text."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    else:
        # XLM-R's: <s> <pad> </s> <unk> and pieces with a score each; "▁" is a space
        vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *(f"▁{w}" for w in WORDS), *(chr(c) for c in range(97, 123))]
        tokenizer = Tokenizer(models.Unigram([(w, -1.0 - i / 100) for i, w in enumerate(vocabulary)], unk_id=3))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    template = " ".join([*before, "$A", *after])
    specials = [(token, tokenizer.token_to_id(token)) for token in (*before, *after)]
    tokenizer.add_special_tokens([token for token, _ in specials])
    if specials:
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=specials)
    return tokenizer


@pytest.fixture(scope="session")
def save_checkpoint() -> Callable[..., Path]:
    """Writes a stock model and a tokenizer into a folder, as a hub would hold them."""

    def save(
        folder: Path, model: Any, *, tokenizer: Tokenizer | None = None, config: dict[str, Any] | None = None
    ) -> Path:
        model.save_pretrained(folder)
        (tokenizer or word_tokenizer()).save(str(folder / "tokenizer.json"))
        if config:
            path = folder / "config.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
        return folder

    return save


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Tokenizer]:
    return word_tokenizer


@pytest.fixture
def seeded() -> None:
    """The same random weights in every run, large enough that attention tells texts apart."""
    torch.manual_seed(7)


@pytest.fixture
def tiny_bert(seeded: None) -> Callable[..., Any]:
    def build(**settings: Any) -> Any:
        from transformers import BertConfig, BertModel

        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
        shape = {"vocab_size": 64, "max_position_embeddings": 64, "initializer_range": 0.2}
        return BertModel(BertConfig(**{**sizes, **shape, **settings}), add_pooling_layer=False).eval()

    return build
