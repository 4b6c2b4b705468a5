"""What makes two sets of vectors comparable, and the sentence when they are not."""

from __future__ import annotations

import dataclasses
import re
import shutil

import pytest

from reasonir_agent.encoder import Fingerprint, ReasonIREncoder
from reasonir_agent.encoder.fingerprint import check_match, explain_mismatch, weights_hash
from reasonir_agent.errors import EncoderMismatch


def changed_weights(folder) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_one_bit_of_the_weights_changes_it(open_golden, golden_copy):
    before = open_golden().fingerprint
    assert open_golden(golden_copy).fingerprint == before
    changed_weights(golden_copy)
    after = open_golden(golden_copy).fingerprint
    assert after.id != before.id
    assert dataclasses.replace(after, weights=before.weights) == before


def test_the_tokenizer_changes_it(open_golden, golden_copy):
    path = golden_copy / "tokenizer.json"
    path.write_text(path.read_text() + "\n")
    assert open_golden(golden_copy).fingerprint.weights != open_golden().fingerprint.weights


@pytest.mark.parametrize(
    ("argument", "part"),
    [
        ({"query_instruction": "mine"}, "query_prefix"),
        ({"task": "biology"}, "query_prefix"),
        ({"document_instruction": ""}, "document_prefix"),
        ({"max_tokens": 100}, "window"),
    ],
)
def test_what_shapes_the_vectors_changes_it(open_golden, argument, part):
    before, after = open_golden().fingerprint, open_golden(**argument).fingerprint
    assert after.id != before.id
    differing = {f.name for f in dataclasses.fields(Fingerprint) if getattr(before, f.name) != getattr(after, f.name)}
    assert differing == {part}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "auto"])
def test_numbers_of_one_class_are_comparable(open_golden, dtype):
    assert open_golden(dtype=dtype).fingerprint == open_golden(dtype="float32").fingerprint


def test_pooling_and_every_other_part_are_in_the_id():
    base = Fingerprint(
        weights="w", query_prefix="q", document_prefix="d", pooling="mean", window=8, window_rule="r", dim=4
    )
    ids = {base.id}
    for field in dataclasses.fields(Fingerprint):
        other = 99 if isinstance(getattr(base, field.name), int) else "other"
        ids.add(dataclasses.replace(base, **{field.name: other}).id)
    assert len(ids) == 1 + len(dataclasses.fields(Fingerprint)) == 9
    assert all(re.fullmatch("[0-9a-f]{16}", found) for found in ids)
    assert base.as_json() == {"id": base.id, **dataclasses.asdict(base)}


def test_the_parts_of_a_reasonir_checkpoint(open_golden):
    parts = open_golden().fingerprint.as_json()
    assert (parts["pooling"], parts["window"], parts["dim"]) == ("mean without prefix", 4096, 64)
    assert parts["window_rule"] == "first-and-mean-of-windows/overlap-0.25"
    assert parts["number_class"] == "float"


def test_names_and_places_of_the_files_do_not_matter_but_their_contents_do(tmp_path):
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (tmp_path / name for name in "abc")
    assert weights_hash([a, b]) == weights_hash([b, a]) == weights_hash([c, a]) != weights_hash([a])


def test_weights_are_hashed_at_first_use_and_not_at_the_start(golden_copy, tmp_path):
    encoder = ReasonIREncoder(golden_copy)
    shutil.rmtree(golden_copy)
    with pytest.raises(FileNotFoundError):
        _ = encoder.fingerprint


def test_a_mismatch_names_both_encoders_the_parts_and_the_remedy(open_golden):
    stored = open_golden().fingerprint.as_json()
    given = open_golden(max_tokens=99, query_instruction="").fingerprint.as_json()
    check_match(stored, "one", stored, "same")
    with pytest.raises(EncoderMismatch) as caught:
        check_match(stored, "reasonir-8b", given, "minilm")
    assert str(caught.value) == explain_mismatch(stored, "reasonir-8b", given, "minilm")
    assert str(caught.value) == (
        f"the store was made with the encoder 'reasonir-8b' ({stored['id']}) and cannot be searched with "
        f"'minilm' ({given['id']}): they differ in query_prefix, window; use --encoder reasonir-8b, or index into "
        "another --store"
    )
