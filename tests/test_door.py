"""What `import reasonir_agent` loads and offers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import reasonir_agent

HEAVY = ("torch", "transformers", "sentence_transformers", "langchain", "langchain_core", "langgraph", "chromadb")
HEAVY += ("bm25s", "openai", "tokenizers", "safetensors", "sqlite3")


def loaded_by(code: str) -> list[str]:
    """Names of the modules that a fresh interpreter holds after running some code."""
    program = f"{code}\nimport json, sys; print('\\x1e' + json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names: list[str] = json.loads(run.stdout.rpartition("\x1e")[2])
    return names


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import reasonir_agent; assert reasonir_agent.__version__")
    assert "reasonir_agent" in loaded
    assert [name for name in (*HEAVY, "pydantic") if name in loaded] == []


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    loaded = loaded_by("import reasonir_agent.cli.main")
    assert "reasonir_agent.cli.search" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_help_is_printed_without_loading_anything_heavy() -> None:
    code = """
from reasonir_agent.cli.main import main
for words in (["--help"], ["ask", "--help"], ["evaluate", "--help"], ["--version"]):
    try:
        main(words)
    except SystemExit as end:
        assert end.code == 0, end.code
    else:
        raise AssertionError("main must leave the process")
"""
    loaded = loaded_by(code)
    assert [name for name in (*HEAVY, "numpy") if name in loaded] == []


def test_the_check_of_loaded_modules_can_fail() -> None:
    assert "sqlite3" in loaded_by("import reasonir_agent.stores.database")


def test_the_public_names_are_pinned() -> None:
    assert sorted(reasonir_agent.__all__) == [
        "AgentSettings",
        "Corpus",
        "ReasonIREncoder",
        "__version__",
        "ask",
        "ask_async",
        "build_agent",
        "search",
        "search_async",
    ]


@pytest.mark.parametrize("name", reasonir_agent.__all__)
def test_every_public_name_is_there_and_listed(name: str) -> None:
    assert getattr(reasonir_agent, name) is not None
    assert name in dir(reasonir_agent)


def test_public_names_are_the_objects_of_their_homes() -> None:
    from reasonir_agent.agent.api import ask, search
    from reasonir_agent.agent.graph import build_agent
    from reasonir_agent.corpus.corpus import Corpus
    from reasonir_agent.encoder.encoder import ReasonIREncoder

    assert reasonir_agent.ask is ask
    assert reasonir_agent.search is search
    assert reasonir_agent.build_agent is build_agent
    assert reasonir_agent.Corpus is Corpus
    assert reasonir_agent.ReasonIREncoder is ReasonIREncoder


@pytest.mark.parametrize("module", ["reasonir_agent", "reasonir_agent.agent"])
def test_an_unknown_name_is_an_attribute_error(module: str) -> None:
    import importlib

    with pytest.raises(AttributeError, match="no attribute 'nothing_here'"):
        importlib.import_module(module).nothing_here  # noqa: B018
