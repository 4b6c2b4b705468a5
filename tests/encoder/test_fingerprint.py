"""What makes two sets of vectors comparable, and the sentence when they are not."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil

import numpy as np
import pytest

from reasonir_agent.encoder import Fingerprint, ReasonIREncoder
from reasonir_agent.encoder.fingerprint import check_match, explain_mismatch, read_fingerprint, weights_hash
from reasonir_agent.encoder.probes import cosines, pack, unpack
from reasonir_agent.errors import EncoderMismatch, InputError
from reasonir_agent.testing import FakeFingerprint


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
    parts = [field for field in dataclasses.fields(Fingerprint) if field.name != "probes"]
    for field in parts:
        other = 99 if isinstance(getattr(base, field.name), int) else "other"
        ids.add(dataclasses.replace(base, **{field.name: other}).id)
    assert len(ids) == 1 + len(parts) == 9
    assert all(re.fullmatch("[0-9a-f]{16}", found) for found in ids)
    assert base.as_json() == {"id": base.id, **{field.name: getattr(base, field.name) for field in parts}}


def test_ids_stay_what_they_were():
    """Stores are named after them: hashed by hand from the parts as JSON with sorted keys."""
    made = Fingerprint(
        weights="w", query_prefix="q", document_prefix="d", pooling="mean", window=8, window_rule="r", dim=4
    )
    written = (
        '{"dim": 4, "document_prefix": "d", "number_class": "float", "pooling": "mean", "query_prefix": "q", '
        '"weights": "w", "window": 8, "window_rule": "r"}'
    )
    assert made.id == hashlib.sha256(written.encode()).hexdigest()[:16] == "eef97c704a961487"


def test_minilm_keeps_its_id(minilm):
    assert minilm().fingerprint.id == "3ba79d5c6bca3fd8"


def test_probes_are_beside_the_parts_and_not_among_them():
    bare = Fingerprint(
        weights="w", query_prefix="q", document_prefix="d", pooling="mean", window=8, window_rule="r", dim=4
    )
    probed = dataclasses.replace(bare, probes=pack(np.eye(4, dtype=np.float32)))
    assert (probed.id, probed, hash(probed)) == (bare.id, bare, hash(bare))
    assert "probes" not in bare.as_json()
    assert json.loads(json.dumps(probed.as_json())) == {**bare.as_json(), "probes": probed.probes}
    assert read_fingerprint(probed.as_json()).probes == probed.probes


def rotated(degrees: float) -> str:
    """Probe vectors of which one is turned."""
    vectors = np.eye(4, dtype=np.float32)
    angle = np.radians(degrees)
    vectors[2] = [0, 0, np.cos(angle), np.sin(angle)]
    return pack(vectors)


@pytest.mark.parametrize(
    ("stored", "given", "fits"),
    [
        (rotated(0), rotated(0), True),
        (rotated(0), rotated(2), True),  # cosine .99939
        (rotated(0), rotated(3), False),  # cosine .99863
        (rotated(0), rotated(90), False),
        (None, rotated(3), True),  # a store of before there were probes
        (rotated(3), None, True),
        (rotated(3), "probes-0/other/AAAA", True),  # of another version: nothing can be said
        (rotated(3), "probes-1/float16/no base64", True),
        (rotated(3), 7, True),
    ],
)
def test_one_name_with_other_vectors_is_another_model(stored, given, fits):
    base = Fingerprint(
        weights="remote:m", query_prefix="", document_prefix="", pooling="remote", window=8, window_rule="r", dim=4
    )
    first, second = ({**base.as_json(), **({} if p is None else {"probes": p})} for p in (stored, given))
    if fits:
        check_match(first, "m", second, "m")
        return
    with pytest.raises(EncoderMismatch, match="the server's model changed: 'm' gives other vectors now"):
        check_match(first, "m", second, "m")


def test_vectors_are_packed_within_the_precision_of_half_numbers():
    vectors = np.random.default_rng(1).standard_normal((6, 4096)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = unpack(pack(vectors), dim=4096)
    assert cosines(vectors, found).min() > 1 - 1e-6
    assert len(pack(vectors)) < 70_000
    assert unpack(pack(vectors), dim=4095) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("nothing", "must be an object"),
        ({"id": "0" * 16}, "its parts give"),
        ({"id": "../../../etc"}, "must be letters and digits"),
        ({"id": None}, "must be letters and digits"),
        ({"dim": "4"}, "dim must be of the type int"),
        ({"dim": True}, "dim must be of the type int"),
        ({"weights": 5}, "weights must be of the type str"),
        ({"window": 9}, "its parts give"),
    ],
)
def test_a_fingerprint_from_elsewhere_is_checked(change, said):
    base = Fingerprint(
        weights="w", query_prefix="q", document_prefix="d", pooling="mean", window=8, window_rule="r", dim=4
    )
    assert read_fingerprint(base.as_json()) == base
    with pytest.raises(InputError, match=said):
        read_fingerprint(change if isinstance(change, str) else {**base.as_json(), **change})


def test_the_fingerprint_of_somebody_elses_encoder_is_kept_as_it_is():
    parts = FakeFingerprint("theirs", 8).as_json()
    found = read_fingerprint(parts)
    assert (found.id, found.as_json()) == (parts["id"], parts)
    assert found == read_fingerprint(parts)
    assert hash(found) == hash(read_fingerprint(parts))


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
    trained_again = stored | {"id": "0" * 16, "weights": "0" * 32}
    with pytest.raises(EncoderMismatch, match="in weights; reasonir reembed --encoder mine moves it, or index into "):
        check_match(stored, "mine", trained_again, "mine")
