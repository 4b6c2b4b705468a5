"""From a folder of documents to an encoder of your own: made data, a trained MiniLM, measured, and asked a question.

    python examples/12_train.py                 # what is made is thrown away; `make train-demo` keeps it
    python examples/12_train.py --out my-run    # the encoder is my-run/trained/model, the adapter alone my-run/trained/adapter

THE DATA COME FROM A SCRIPTED MODEL, which strings sentences of the notes together. This proves the road and not the
method: the figures say that every step works, and nothing about how good an encoder becomes.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import tempfile
from pathlib import Path

import numpy as np
import yaml

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.testing import ScriptedChatServer

SYNTHESIZE = runpy.run_path(str(Path(__file__).with_name("11_synthesize.py")))  # its script, corpus and command()
script, command = SYNTHESIZE["script"], SYNTHESIZE["command"]
# A document's name decides whether it is held out: relative, it is the same on every machine.
CORPUS = os.path.relpath(SYNTHESIZE["CORPUS"])
QUESTION = "Why does a hole drilled at the end of a crack stop it from growing?"


def synthesize(out: Path, seeds: int) -> None:
    """Rows from the notes, every fifth document held out with all that was made from it."""
    with ScriptedChatServer(script) as server:
        ours = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none"}
        make = ["reasonir-trainer", "synthesize", CORPUS, "--out", out / "run", "--most-seeds", seeds]
        command(*make, "--llm", "openai:scripted", environment=ours)
    shown = ["--to", "triplets", "--held-out", 0.2, "--out", out / "exported"]
    command("reasonir-trainer", "export", out / "run", *shown)


def train(out: Path, steps: int, batch: int) -> Path:
    """A LoRA adapter on MiniLM; the folder of the encoder. The held-out part is not looked at."""
    settings = {
        "base": "minilm",
        "output": "trained",
        "sources": [{"path": "exported/train.jsonl", "name": "notes"}],
        "method": "lora",
        "lora": {"rank": 8, "alpha": 16},
        "steps": steps,
        "batch": batch,
        "learning_rate": 1e-4,
    }
    (out / "train.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    print(f"\n{steps} steps of {batch} examples: on two cores a minute or two")
    command("reasonir-trainer", "train", out / "train.yaml")
    return out / "trained" / "model"


def measure(out: Path, model: Path) -> None:
    """nDCG@10 of dense search on the documents that were held out, before and after."""
    for system in ("minilm", model):
        command(
            *("reasonir", "evaluate", "retrieval", out / "exported" / "held-out"),
            *("--system", system, "--out", out / "evaluations"),
        )


def show_adapter(model: Path) -> None:
    """What was learnt is a small file beside the base, and gives the same vectors."""
    adapter = model.with_name("adapter")
    base = json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    size = (adapter / "adapter_model.safetensors").stat().st_size
    merged, added = (ReasonIREncoder(folder, dtype="float32").encode_queries([QUESTION]) for folder in (model, adapter))
    print(f"\n{adapter}: {size / 1e6:.1f} MB on top of {base}")
    print(f"adapter and merged model give the same vector within {np.abs(merged - added).max():.0e}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, help="a new folder, kept; without it, what is made is thrown away")
    arguments.add_argument("--seeds", type=int, default=30, help="passages that rows are made from [30]")
    arguments.add_argument("--steps", type=int, default=12, help="steps of training [12]")
    arguments.add_argument("--batch", type=int, default=8, help="examples of a step [8]")
    chosen = arguments.parse_args()
    print("== the data come from a scripted model: this proves the road, not the method ==")
    with tempfile.TemporaryDirectory() as thrown_away:
        out = chosen.out or Path(thrown_away)
        synthesize(out, chosen.seeds)
        model = train(out, chosen.steps, chosen.batch)
        measure(out, model)
        show_adapter(model)
        command("reasonir", "index", CORPUS, "--store", out / "store", "--encoder", model)
        command("reasonir", "ask", QUESTION, "--store", out / "store", "--encoder", model, "-k", 3)
    print("\n== as said: scripted data; the figures above say nothing about the method ==")


if __name__ == "__main__":
    main()
