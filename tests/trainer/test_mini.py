"""How `reasonir-mini` was made: two adapters added, and what one of them learnt from."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from reasonir_agent.encoder.adapter import read_adapter
from tests.encoder.adapters import MINILM_HUB_ID, MINILM_LAYERS, write_adapter

MINI = Path(__file__).parents[2] / "trainer" / "mini"
CONSTRAINTS = "\n\nExample 1:\n\nInput: 1\n\n```python\npass\n```"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"mini_{name}", MINI / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sum_of_adapters_changes_every_weight_by_the_sum_of_their_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (write_adapter(tmp_path / str(n), MINILM_HUB_ID, MINILM_LAYERS, seed=n) for n in (1, 2))
    monkeypatch.setattr(sys, "argv", ["average.py", str(tmp_path / "sum"), str(one), "0.25", str(other), "0.5"])
    script("average").main()
    shapes = {f"{name}.weight": shape for name, shape in MINILM_LAYERS.items()}
    first, second, both = (dict(read_adapter(folder).deltas(shapes)) for folder in (one, other, tmp_path / "sum"))
    assert first.keys() == both.keys() and len(both) == len(MINILM_LAYERS)
    for name, delta in both.items():
        np.testing.assert_allclose(delta, 0.25 * first[name] + 0.5 * second[name], atol=1e-5)


def test_adapters_of_different_layers_are_not_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write_adapter(tmp_path / "one", MINILM_HUB_ID, MINILM_LAYERS)
    other = write_adapter(tmp_path / "other", MINILM_HUB_ID, dict(list(MINILM_LAYERS.items())[:2]))
    monkeypatch.setattr(sys, "argv", ["average.py", str(tmp_path / "sum"), str(one), "0.5", str(other), "0.5"])
    with pytest.raises(SystemExit, match="the adapters change different layers"):
        script("average").main()
    assert not (tmp_path / "sum").exists()


def test_twins_are_problems_that_are_solved_alike(tmp_path: Path) -> None:
    """By solution and topic, and not by what they tell: a park and a bakery, not two parks."""
    window = "We keep a sliding window with two pointers. The right end moves on by one; while the sum inside is more than k, "
    tree = (
        "We walk through the tree in depth-first order and give each node the number of its descendants, adding up the "
    )
    rows = [
        (
            "a",
            "Visitors come to a park. " * 5,
            window + "the left end follows, and we count what lies between.",
            "Window",
        ),
        ("b", "A bakery sells loaves. " * 5, window + "the left end moves too. The answer is the longest.", "Window"),
        ("c", "Visitors come to a park. " * 5, tree + "children's. The root has the answer that is asked for.", "Tree"),
        (
            "f",
            "Words in a book. " * 5,
            "Each word is put into a hash table with how often it came; the rarest wins. " * 3,
            "Window",
        ),
        ("d", "Nodes have children. " * 5, "", "Tree"),
        ("e", "Employees and their pay. " * 5, window + "so much for that, it is a query.", "Database"),
    ]
    lines = [
        {"text": told + CONSTRAINTS, "explanation": said, "code": "pass", "tags": [topic, "Array"], "id": name}
        for name, told, said, topic in rows
    ]
    (tmp_path / "corpus_extra.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare = script("prepare")
    solved = prepare.solved(tmp_path)
    assert [row.told[:10] for row in solved] == [told[:10] for _, told, _, _ in rows[:4]]
    assert prepare.twins(solved) == [(solved[0].told, solved[1].whole), (solved[1].told, solved[0].whole)]
    assert len(prepare.explained(solved)) == 8 and prepare.explained(solved)[0] == (
        solved[0].explained,
        solved[0].whole,
    )
