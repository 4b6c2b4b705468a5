"""What `reasonir-mini` is trained on beside folders that the trainer reads itself, as JSON lines of questions and answers.

    python trainer/mini/prepare.py DATA OUT

DATA holds the folders medquad, gsm8k and bright_leetcode; of the last, the problems that are newer than BRIGHT are read and
nothing else. The functions are those of the Python that runs this. OUT gets one file a source, those of `reasoned.jsonl` by
field: a batch comes from one source, and passages of the same field are the better negatives. MiniLM says which solutions are
alike.
"""

from __future__ import annotations

import ast
import json
import math
import random
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from reasonir_agent.encoder import ReasonIREncoder


def main() -> None:
    """Write every source."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    sources = {
        "medical": medical(data / "medquad"),
        "arithmetic": arithmetic(data / "gsm8k"),
        "problems": problems(data / "bright_leetcode"),
        "explained": explained(solutions := solved(data / "bright_leetcode")),
        "twins": twins(solutions),
        "functions": functions(Path(sysconfig.get_path("stdlib"))),
        **reasoned(Path(__file__).with_name("reasoned.jsonl")),
    }
    for name, pairs in sources.items():
        lines = (json.dumps({"query": query, "positive": answer}, ensure_ascii=False) + "\n" for query, answer in pairs)
        (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{name:14} {len(pairs):6,} questions", flush=True)


def medical(folder: Path) -> list[tuple[str, str]]:
    """Medical questions and their answers."""
    rows = [row for row in _rows(folder / "pairs.jsonl") if len(row["answer"]) > 60]
    return [(row["question"], row["answer"]) for row in random.Random(0).sample(rows, 3_500)]


def arithmetic(folder: Path) -> list[tuple[str, str]]:
    """Word problems and their solutions; few, since they are also used to measure."""
    rows = random.Random(0).sample(list(_rows(folder / "train.jsonl")), 600)
    return [(row["question"], row["answer"]) for row in rows]


def problems(folder: Path) -> list[tuple[str, str]]:
    """Programming problems and their solutions in Python."""
    pairs = []
    for row in _rows(folder / "corpus_extra.jsonl"):
        told, mark, code = row["text"].partition("```python")
        told = told.partition("Example 1")[0].strip()
        if mark and len(told) > 80:
            pairs.append((told, code.removesuffix("```").strip()))
    return pairs


class Solved(NamedTuple):
    """A programming problem: its statement without examples, how to solve it in words, all of it with code, its topics."""

    told: str
    explained: str
    whole: str
    topics: frozenset[str]


def solved(folder: Path) -> list[Solved]:
    """Programming problems that come with a solution in words."""
    rows = []
    for row in _rows(folder / "corpus_extra.jsonl"):
        told = row["text"].partition("Example 1")[0].strip()
        said = re.sub(r"\n*(The )?[Tt]ime complexity.*", "", row["explanation"], flags=re.DOTALL)
        said = re.sub(r"\\textit\{([^}]*)\}", r"\1", re.sub(r"#+ Solution \d.*\n", "", said)).replace("$", "").strip()
        is_code = row["code"] and not {"Database", "JavaScript", "Pandas"} & set(row["tags"])
        if is_code and len(said) > 150 and len(told) > 80:
            rows.append(Solved(told, said, row["text"], frozenset(row["tags"])))
    return rows


def explained(rows: list[Solved]) -> list[tuple[str, str]]:
    """The way to a solution as a query, as a rewritten question has it, and as what a problem asks for."""
    return [(row.explained, row.whole) for row in rows] + [(row.told, row.explained) for row in rows]


def twins(rows: list[Solved]) -> list[tuple[str, str]]:
    """Problems that are solved alike, at most two for each: by their explanations and the topics they share."""
    vectors = ReasonIREncoder("minilm").encode_documents([row.explained for row in rows])
    likeness = vectors @ vectors.T
    often = Counter(topic for row in rows for topic in row.topics)
    weights = {topic: math.log(len(rows) / times) for topic, times in often.items()}
    pairs = []
    for i, one in enumerate(rows):
        alike = []
        for j, other in enumerate(rows):
            either = sum(weights[topic] for topic in one.topics | other.topics) or 1
            shared = sum(weights[topic] for topic in one.topics & other.topics) / either
            if i != j and shared >= 0.4:
                alike.append((likeness[i, j] + 0.3 * shared, j))
        pairs += [(one.told, rows[j].whole) for score, j in sorted(alike, reverse=True)[:2] if score > 0.75]
    return pairs


def functions(library: Path) -> list[tuple[str, str]]:
    """Functions of Python's own library: what they do in words, and their code without those words."""
    pairs: dict[str, str] = {}
    for file in sorted(library.rglob("*.py")):
        if {"test", "tests", "site-packages", "idlelib", "lib2to3"} & set(file.parts):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8", errors="replace"))):
            if isinstance(node, ast.FunctionDef) and (said := ast.get_docstring(node)) and len(node.body) > 1:
                node.body = node.body[1:]
                code = ast.unparse(node)
                first = " ".join(said.split("\n\n")[0].split())
                if 5 <= len(first.split()) <= 60 and code.count("\n") > 2:
                    pairs.setdefault(first, code[:2000])
    return random.Random(0).sample(sorted(pairs.items()), min(1_800, len(pairs)))


def reasoned(file: Path) -> dict[str, list[tuple[str, str]]]:
    """Questions and their rewrites, each with the passage that helps, by the prefix of their ids."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in _rows(file):
        group = pairs.setdefault("reasoned-" + row["id"].partition("-")[0], [])
        group += [(row["query"], row["positive"]), (row["rewrite"], row["positive"])]
    return pairs


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


if __name__ == "__main__":
    main()
