"""The distribution: namespace packages by LlamaIndex's convention, that share their folders with everybody else's."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent / "integrations" / "llama-index-reasonir"
OURS = {
    "llama_index/embeddings/reasonir": {"__init__.py", "base.py", "cache.py", "plain.py", "py.typed"},
    "llama_index/postprocessor/reasonir": {"__init__.py", "base.py", "llm.py", "scores.py", "py.typed"},
    "llama_index/retrievers/reasonir": {"__init__.py", "base.py", "nodes.py", "transform.py", "py.typed"},
}
FILES = {f"{folder}/{name}" for folder, names in OURS.items() for name in names}
CLASSES = {
    "llama_index.embeddings.reasonir": ["ReasonIREmbedding", "PlainText", "plain"],
    "llama_index.postprocessor.reasonir": ["ReasonIRRerank"],
    "llama_index.retrievers.reasonir": ["ReasonIRRetriever", "ReasonIRQueryTransform"],
}


def test_the_folders_that_others_share_hold_no_file_of_ours() -> None:
    found = {
        path.relative_to(PROJECT).as_posix() for path in PROJECT.joinpath("llama_index").rglob("*") if path.is_file()
    }
    assert {name for name in found if "__pycache__" not in name} == FILES


@pytest.mark.parametrize("module", CLASSES)
def test_what_is_imported_by_name(module: str) -> None:
    assert sorted(importlib.import_module(module).__all__) == sorted(CLASSES[module])


@pytest.mark.slow
def test_ours_and_theirs_import_together() -> None:
    modules = ["llama_index.core", "llama_index.vector_stores.chroma", *CLASSES]
    for order in (modules, modules[::-1]):  # whichever comes first must not shut the namespace
        code = "import " + ", ".join(order) + "; import llama_index; assert llama_index.__file__ is None"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_it_imports_without_the_packages_of_the_extras() -> None:
    heavy = ("torch", "transformers", "chromadb", "langchain", "langchain_core", "langgraph", "bm25s", "Stemmer")
    code = f"import sys; sys.modules.update(dict.fromkeys({heavy!r})); import " + ", ".join(CLASSES)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_llamahub_is_told_where_the_classes_are() -> None:
    hub = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["llamahub"]
    assert hub["import_path"] in CLASSES
    named = {name for names in CLASSES.values() for name in names if name[0].isupper()}
    assert set(hub["class_authors"]) == named


@pytest.mark.slow
def test_the_wheel_holds_our_files_and_no_others(tmp_path: Path) -> None:
    """Needs hatchling, here or from the package index."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(PROJECT)]
    if importlib.util.find_spec("hatchling"):
        command.insert(5, "--no-build-isolation")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("llama_index_reasonir-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert {name for name in names if ".dist-info/" not in name} == FILES
