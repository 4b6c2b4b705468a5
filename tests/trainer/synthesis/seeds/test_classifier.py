import json
from pathlib import Path

import pytest

from reasonir_agent.errors import InputError
from reasonir_trainer.synthesis.seeds.classifier import QualityClassifier

pytestmark = pytest.mark.slow

TEXTS = ["duck", "duck feather water oil", "bank", "", "duck " * 500]


def checkpoint(folder: Path, *, labels: int = 1, names: list[str] | None = None, scale: float = 1.0) -> Path:
    """A classifier of one small layer with drawn weights."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "duck", "feather", "water", "oil", "bank"]
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, num_labels=labels, id2label=dict(enumerate(names)) if names else None,
    )  # fmt: skip
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.weight.mul_(scale * 100)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def plain_logits(folder: Path, text: str):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    inputs = AutoTokenizer.from_pretrained(folder)(text or "", return_tensors="pt", truncation=True, max_length=32)
    if not inputs["input_ids"].shape[1]:
        return None
    with torch.inference_mode():
        return AutoModelForSequenceClassification.from_pretrained(folder).eval()(**inputs).logits[0]


def test_one_output_is_the_quality_clipped_to_0_and_5(tmp_path):
    folder = checkpoint(tmp_path / "model")
    scores = QualityClassifier(str(folder), batch=2).score(TEXTS[:3] + TEXTS[4:])
    plain = [float(plain_logits(folder, text)[0]) for text in TEXTS[:3] + TEXTS[4:]]
    assert scores == pytest.approx([min(5.0, max(0.0, value)) for value in plain], abs=1e-4)
    assert any(value < 0 or value > 5 for value in plain)  # else nothing was clipped
    assert all(0 <= score <= 5 for score in scores)


def test_six_classes_give_the_expected_value(tmp_path):
    folder = checkpoint(tmp_path / "model", labels=6, scale=0.1)
    scores = QualityClassifier(str(folder)).score(TEXTS[:3])
    for text, score in zip(TEXTS, scores, strict=False):
        shares = plain_logits(folder, text).softmax(-1)
        assert score == pytest.approx(sum(n * float(share) for n, share in enumerate(shares)), abs=1e-4)
    reverse = checkpoint(tmp_path / "reverse", labels=6, names=[f"grade {n}" for n in range(5, -1, -1)], scale=0.1)
    assert QualityClassifier(str(reverse)).score(TEXTS[:3]) == pytest.approx([5 - one for one in scores], abs=1e-4)


def test_batches_change_nothing(tmp_path):
    folder = checkpoint(tmp_path / "model", labels=6)
    texts = [" ".join(["duck", "water", "bank"][: 1 + n % 3] * (1 + n % 4)) for n in range(11)]
    one_by_one = [QualityClassifier(str(folder), batch=1).score([text])[0] for text in texts]
    assert QualityClassifier(str(folder), batch=4).score(texts) == pytest.approx(one_by_one, abs=1e-5)
    assert QualityClassifier(str(folder)).score([]) == []


@pytest.mark.parametrize(("labels", "names"), [(2, None), (6, ["a", "b", "c", "d", "e", "f"]), (5, None)])
def test_another_scale_is_refused(tmp_path, labels, names):
    with pytest.raises(InputError, match="expected one output from 0 to 5, or six classes"):
        QualityClassifier(str(checkpoint(tmp_path / "model", labels=labels, names=names)))


def test_weights_that_are_no_safetensors_are_refused(tmp_path):
    import torch

    folder = checkpoint(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="loading the classifier"):
        QualityClassifier(str(folder))


def test_code_of_the_models_folder_does_not_run(tmp_path):
    folder = checkpoint(tmp_path / "model")
    marker = tmp_path / "the-code-ran"
    (folder / "own.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Own: pass\n")
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.Own", "AutoModelForSequenceClassification": "own.Own"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": own}))
    with pytest.raises(InputError, match="loading the classifier"):
        QualityClassifier(str(folder))
    assert not marker.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="loading the classifier"):
        QualityClassifier(str(tmp_path / "none"))
