"""Tiny bases of random weights, tiny sources, and a run of a few steps on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from reasonir_trainer.data.examples import Candidate, Example, Source
from reasonir_trainer.training.config import TrainingConfig, make_config
from tests.threads import one_thread as one_thread

WORDS = "why is the sky blue light scatters air small waves more than long ones river stone heat cold salt moon".split()


def sentence(number: int, length: int) -> str:
    """Some words, the same for the same number."""
    generator = np.random.default_rng(number)
    return " ".join(generator.choice(WORDS, length).tolist())


def examples(count: int, *, negatives: int = 1, start: int = 0) -> list[Example]:
    """Examples of different lengths, all texts different."""
    found: list[Example] = []
    for number in range(start, start + count):
        texts = [sentence(1000 * number + part, 4 + (7 * number + 3 * part) % 17) for part in range(2 + negatives)]
        query, positive, *rest = (f"{text} {number} {part}" for part, text in enumerate(texts))
        found.append(Example(f"e{number}", query, (Candidate(positive),), tuple(Candidate(one) for one in rest)))
    return found


@pytest.fixture(scope="session")
def make_examples() -> Callable[..., list[Example]]:
    return examples


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of random weights, dropout 0.1, and a tokenizer of a few words and digits."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("base") / "tiny-bert"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *"0123456789", *(f"##{digit}" for digit in "0123456789")]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "model_max_length": 64})
    )
    return folder


def write_triplets(file: Path, found: Sequence[Example]) -> Path:
    lines = [
        json.dumps(
            {
                "id": one.id,
                "anchor": one.query,
                "positive": one.positives[0].text,
                **{f"negative_{number}": negative.text for number, negative in enumerate(one.negatives, 1)},
            }
        )
        for one in found
    ]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def write_data_set(folder: Path, found: Sequence[Example]) -> Path:
    """The examples as held-out data: every document of theirs is the corpus."""
    folder.mkdir()
    corpus = {f"p{one.id}": one.positives[0].text for one in found}
    corpus |= {f"n{one.id}": one.negatives[0].text for one in found}
    texts = [json.dumps({"id": name, "text": text}) for name, text in corpus.items()]
    (folder / "corpus.jsonl").write_text("\n".join(texts) + "\n")
    queries = [json.dumps({"id": one.id, "text": one.query}) for one in found]
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n")
    (folder / "qrels.tsv").write_text("".join(f"{one.id}\tp{one.id}\t1\n" for one in found))
    return folder


@pytest.fixture
def settings(tiny_bert: Path, tmp_path: Path) -> dict[str, Any]:
    """A run of six steps over two sources, measured on a third set."""
    data = tmp_path / "data"
    data.mkdir()
    write_triplets(data / "first.jsonl", examples(20))
    write_triplets(data / "second.jsonl", examples(12, start=100))
    write_data_set(data / "held-out", examples(10, start=200))
    return {
        "base": str(tiny_bert),
        "output": str(tmp_path / "run"),
        "sources": [{"path": str(data / "first.jsonl")}, {"path": str(data / "second.jsonl")}],
        "method": "full",
        "batch": 6,
        "steps": 6,
        "learning_rate": 1e-3,
        "mini_batch_tokens": 48,
        "keep_tokens": 0,
        "device": "cpu",
        "precision": "float32",
        "save_every": 2,
        "evaluation": {"sets": [{"path": str(data / "held-out")}], "every": 3},
    }


@pytest.fixture
def make(settings: dict[str, Any]) -> Callable[..., TrainingConfig]:
    def made(**changes: Any) -> TrainingConfig:
        return make_config({**settings, **changes})

    return made


@pytest.fixture
def source() -> Source:
    return Source("some", examples(12, negatives=2))
