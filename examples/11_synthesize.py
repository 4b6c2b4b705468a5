"""Training data from your own documents: made, looked at, exported, held out for evaluation, and opened.

    python examples/11_synthesize.py                              # the chat model is a script on this machine
    python examples/11_synthesize.py --llm openai:gpt-5-mini      # a real one, with OPENAI_API_KEY set; 8 documents
    python examples/11_synthesize.py --out my-data                # keep what is made; the page is my-data/run/page.html

The scripted model strings sentences of the notes together: it shows what travels where, and has not understood anything.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from datasets import load_dataset, logging
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import TripletEvaluator

from reasonir_agent.encoder.locate import minilm_folder
from reasonir_agent.testing import ScriptedChatServer

CORPUS = Path(__file__).parent / "corpus"
NOTES = [path.read_text(encoding="utf-8") for path in sorted(CORPUS.glob("[a-y]*.md"))]
SENTENCES = [one.strip() for note in NOTES for one in re.split(r"(?<=[.?]) ", note.partition("\n")[2]) if len(one) > 40]
ASKED = "Why would that be, and what should one expect if it were twice as much?"


def script(request: dict) -> str:
    """What the scripted model says to each step; the same request always gets the same reply."""
    talk = "\n".join(str(message["content"]) for message in request["messages"])
    users = [str(message["content"]) for message in request["messages"] if message["role"] == "user"]
    asked = next(said for said in reversed(users) if not said.startswith("That could not be used"))
    draw = random.Random(talk)
    if '"quality":' in asked:
        return json.dumps(
            {"quality": draw.choice([3, 4, 5]), "field": draw.choice(["physics", "biology", "economics"])}
        )
    if "Now judge the document" in asked:
        return json.dumps({"reason": "It tells of other things.", "helps": False})
    if "Write a query for which" in asked:
        steps = {"knowledge": "A principle.", "reasoning": "From cause to effect.", "setting": "Another place."}
        opening = "According to the document, is this so? " if draw.random() < 0.4 else ""  # as models do at times
        return json.dumps({**steps, "query": f"{opening}{text(60, talk, draw)} {ASKED}"})
    length = int(re.findall(r"(?:of|about) (\d+) words", asked)[-1])
    if "Write a query of" in asked:
        return json.dumps({"query": f"{text(length, talk, draw)} {ASKED}"})
    return json.dumps({"trap": "The same words.", "document": text(length, talk, draw)})


def text(words: int, talk: str, draw: random.Random) -> str:
    """So many words in sentences that have not been said yet."""
    fresh = [one for one in SENTENCES if one not in talk]
    draw.shuffle(fresh)
    said: list[str] = []
    while fresh and sum(len(one.split()) for one in said) < words:
        said.append(fresh.pop())
    return " ".join(said)


def command(*words: object, environment: dict[str, str] | None = None) -> None:
    """Run a command line as it is typed, and show what it says."""
    name, *rest = map(str, words)
    print(f"\n$ {name} {' '.join(rest)}", flush=True)
    program = Path(sys.executable).with_name(name)  # of this environment
    ours = {**os.environ, **(environment or {})}
    done = subprocess.run([program, *rest], env=ours, capture_output=True, text=True, check=False)
    print((done.stdout + done.stderr).strip())
    if done.returncode:
        raise SystemExit(f"{name} ended with {done.returncode}")


def use(out: Path) -> None:
    """Look at it, export it with every fifth document held out, evaluate on those, open the rest."""
    command("reasonir-trainer", "inspect", out / "run")
    command("reasonir-trainer", "export", out / "run", "--to", "triplets", "--held-out", 0.2, "--out", out / "exported")
    held_out = out / "exported" / "held-out"
    command("reasonir", "evaluate", "retrieval", held_out, "--system", "bm25", "--out", out / "evaluations")
    logging.disable_progress_bar()
    cache = {"split": "train", "cache_dir": str(out / "cache")}
    whole = load_dataset("parquet", data_files=str(out / "run" / "data.parquet"), **cache)
    train = load_dataset("json", data_files=str(out / "exported" / "train.jsonl"), **cache)
    print(f"\ndatasets: {len(whole)} rows with {', '.join(whole.column_names)}")
    print(f"sentence-transformers: {len(train)} rows with {', '.join(train.column_names)}")
    some = train.select(range(min(8, len(train))))
    evaluator = TripletEvaluator(some["anchor"], some["positive"], some["negative"])
    accuracy = evaluator(SentenceTransformer(str(minilm_folder()), device="cpu"))
    print(f"all-MiniLM-L6-v2 before training, on {len(some)} of them: {accuracy}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--llm", help="provider:model; without it a scripted server is used")
    arguments.add_argument("--out", type=Path, help="folder to keep; without it, what is made is thrown away")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as thrown_away:
        out = chosen.out or Path(thrown_away)
        make = ["reasonir-trainer", "synthesize", CORPUS, "--out", out / "run", "--most-seeds"]
        if chosen.llm:
            command(*make, 8, "--llm", chosen.llm)
        else:
            with ScriptedChatServer(script) as server:
                server_of_ours = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none"}
                command(*make, 20, "--llm", "openai:scripted", environment=server_of_ours)
                print(f"{len(server.requests)} model calls")
        use(out)


if __name__ == "__main__":
    main()
