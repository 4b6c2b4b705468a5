"""Tokens a second and peak memory of training steps: our loss against sentence-transformers' cached loss, same weights and data.

    python benchmarks/train.py speed [--data TRIPLETS.jsonl] [--batch 128] [--rounds 3]
    python benchmarks/train.py memory [--batches 256 512 1024 2048 4096] [--tokens 32]
    python benchmarks/train.py gpu [--batch 128] [--tokens 2048]      # an 8B-shaped network with LoRA; an 80 GB GPU, 16 GB of disk
    python benchmarks/train.py gpu --batch 1024 --tokens 128
    python benchmarks/train.py gpu --device cpu --layers 2 --hidden 64 --batch 8 --tokens 64        # a trial of the benchmark

A step is tokenised texts to changed weights: loss, gradients, AdamW on all weights of MiniLM. `speed` has three ways:

    ours            as `reasonir-trainer train` does it with its defaults for this device
    theirs          CachedMultipleNegativesRankingLoss with its defaults: float32, dropout, mini-batches of 32
    theirs, alike   the same with our precision and without dropout

They take turns, one step each a round after a warm-up; the table gives medians. Tokens are those of the texts, padding and
repetitions aside, the same number for every way. Peak memory is that of a process of its own for each way, and beyond what the
process had before its first step. Without --data the texts are pieces of the example corpus, 5 to 200 words.

`memory` takes one step of ours for each batch, each in a process of its own, on pairs of texts of --tokens tokens.

`gpu` writes a Llama of random weights in 8B proportions into a temporary folder and opens it as a run opens
`base: meta-llama/Llama-3.1-8B` with LoRA on every linear layer and gradient checkpointing; one step warms up, one is measured.
Operations of a token, P being the frozen weights of the layers, A the adapters', T = 4 x layers x hidden x length (attention):

    forward    2 P + 2 A + T
    backward   2 P + 4 A + 2 T      no gradient of a frozen weight is computed
    needed     forward + backward
    done       forward (GradCache's pass without a graph) + forward + forward (gradient checkpointing computes it again)
               + backward

Embedding table, norms' own work, loss and optimizer are not counted. Shares are of --peak-tflops, by default the data sheet's of
a GPU that `gpu.py` knows. No figures from a GPU exist yet; only the trial on a CPU has been run.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from gpu import PEAK, network
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

from reasonir_agent.encoder.locate import minilm_folder
from reasonir_trainer.data.examples import Candidate, Example, Source
from reasonir_trainer.data.mixing import Drawn
from reasonir_trainer.data.reading import SourceSpec, read_source
from reasonir_trainer.training.config import TrainingConfig, make_config
from reasonir_trainer.training.model import Base, load_base, quiet, switch_off_dropout
from reasonir_trainer.training.run import make_loss, make_reading
from reasonir_trainer.training.trainer import as_tensors

WAYS = ("ours", "theirs", "theirs, alike")
TOKENS = 256
TOKENIZER = Path("tests/data/reasonir-tiny")
GPU_DEFAULTS = {
    "--batch": 128,
    "--tokens": 2048,
    "--layers": 32,
    "--hidden": 4096,
    "--rank": 32,
    "--mini-batch-tokens": 16384,
}
Step = Callable[[], None]


def pieces(count: int) -> list[Example]:
    """Triplets cut from the example corpus, with fixed random numbers."""
    dice = random.Random(7)
    words = [word for file in sorted(Path("examples/corpus").glob("*.md")) for word in file.read_text("utf-8").split()]

    def piece(least: int, middle: float) -> str:
        length = int(min(200, max(least, dice.lognormvariate(middle, 0.8))))
        start = dice.randrange(len(words) - length)
        return " ".join(words[start : start + length])

    return [
        Example(str(number), piece(5, 3.0), (Candidate(piece(8, 4.3)),), (Candidate(piece(8, 4.3)),))
        for number in range(count)
    ]


def short(count: int, tokens: int = 32) -> list[Example]:
    """Pairs of texts of exactly so many tokens: start, words of one token each, end."""
    dice = random.Random(7)
    words = "the of and to in for with on at from by about into over after water light stone river heat".split()
    texts = [" ".join(dice.choices(words, k=tokens - 2)) for _ in range(2 * count)]
    return [Example(str(number), texts[number], (Candidate(texts[-1 - number]),)) for number in range(count)]


def settings(device: str) -> TrainingConfig:
    """Our defaults, all weights trained."""
    return make_config(
        {
            "output": "unused",
            "sources": [{"path": "unused"}],
            "method": "full",
            "query_tokens": TOKENS,
            "document_tokens": TOKENS,
            "device": device,
        }
    )


def ours(examples: list[Example], device: str) -> tuple[Step, int]:
    """A step of ours, and the tokens of its texts."""
    config = settings(device)
    return ours_on(load_base(config), config, examples)


def ours_on(base: Base, config: TrainingConfig, examples: list[Example]) -> tuple[Step, int]:
    """The same with a base that is there."""
    loss = make_loss(config, base)
    source = Source("all", examples)
    batch = make_reading(config, base, [source]).batch(Drawn(source, examples, 0))
    tensors = as_tensors(batch, base.model.device)
    inputs = [tensors["queries"], tensors["documents"]]
    step = _step(base.model, lambda: loss(inputs, tensors["facts"]), base.precision)
    return step, batch.queries.tokens + batch.documents.tokens


def theirs(examples: list[Example], device: str, *, alike: bool) -> Step:
    """A step of sentence-transformers'."""
    with quiet():
        model = SentenceTransformer(str(minilm_folder()), device=None if device == "auto" else device)
    model.max_seq_length = TOKENS
    precision = torch.float32
    if alike:
        switch_off_dropout(model)
        precision = load_base(settings(device)).precision
    loss = CachedMultipleNegativesRankingLoss(model, scale=50.0)  # temperature 0.02
    columns = [[one.query for one in examples], [one.positives[0].text for one in examples]]
    if all(one.negatives for one in examples):
        columns.append([one.negatives[0].text for one in examples])
    features = [model.preprocess(column) for column in columns]
    features = [
        {name: value.to(model.device) for name, value in one.items() if torch.is_tensor(value)} for one in features
    ]
    return _step(model, lambda: loss([dict(one) for one in features], None), precision)


def _step(model: SentenceTransformer, loss: Callable[[], torch.Tensor], precision: torch.dtype) -> Step:
    model.train()
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-6)
    forward, kind = model.forward, model.device.type

    def in_precision(*given: object, **more: object) -> object:  # as accelerate does it
        with torch.autocast(kind, torch.bfloat16, enabled=precision is torch.bfloat16):
            return forward(*given, **more)

    model.forward = in_precision  # type: ignore[method-assign,assignment]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()
        if kind == "cuda":
            torch.cuda.synchronize()

    return step


def made(way: str, examples: list[Example], device: str) -> Step:
    """The step of a way."""
    return ours(examples, device)[0] if way == "ours" else theirs(examples, device, alike=way == WAYS[2])


def peak() -> float:
    """Megabytes that this process, or its GPU, held at most."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # `ru_maxrss` of a child begins at its parent's peak
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(way: str, data: str, batch: int, tokens: int, device: str) -> None:
    """One step in a process of its own; prints the peak before and after."""
    step = made(way, read(data, batch, tokens), device)
    before = peak()
    step()
    print(json.dumps({"before": before, "after": peak()}))


def measured(way: str, data: str, batch: int, device: str, tokens: int = 32) -> dict[str, float]:
    """The peak of a way, from a process of its own."""
    words = [sys.executable, __file__, "child", way, "--data", data, "--batch", str(batch), "--device", device]
    said = subprocess.run([*words, "--tokens", str(tokens)], check=True, capture_output=True, text=True).stdout
    return dict(json.loads(said.splitlines()[-1]))


def read(data: str, batch: int, tokens: int = 32) -> list[Example]:
    """A batch of a file, of the example corpus ("") or of texts of so many tokens ("short")."""
    if data == "short":
        return short(batch, tokens)
    found = (
        pieces(batch) if not data else list(read_source(SourceSpec(name="data", path=Path(data), most=batch)).examples)
    )
    if len(found) < batch:
        raise SystemExit(f"{data} holds {len(found)} examples, fewer than a batch of {batch}")
    return found


def speed(given: argparse.Namespace) -> None:
    """The table of the three ways."""
    examples = read(given.data, given.batch)
    first, tokens = ours(examples, given.device)
    steps = {WAYS[0]: first, **{way: made(way, examples, given.device) for way in WAYS[1:]}}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(given.rounds + 1):  # the first one warms up
        for way, step in steps.items():
            began = time.perf_counter()
            step()
            if number:
                seconds[way].append(time.perf_counter() - began)
    middle = {way: statistics.median(times) for way, times in seconds.items()}
    print(f"batch {given.batch}, {tokens:,} tokens, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'way':<14} {'tokens/s':>9} {'fastest':>9} {'slowest':>9} {'time':>8} {'peak MB':>8} {'beyond':>7}")
    for way, times in seconds.items():
        memory = measured(way, given.data, given.batch, given.device)
        print(
            f"{way:<14} {tokens / middle[way]:9,.0f} {tokens / min(times):9,.0f} {tokens / max(times):9,.0f} "
            f"{middle[way] / middle[WAYS[0]]:7.2f}x {memory['after']:8,.0f} {memory['after'] - memory['before']:7,.0f}"
        )


def memory(given: argparse.Namespace) -> None:
    """The table of peaks by batch."""
    if not 3 <= given.tokens <= TOKENS:
        raise SystemExit(f"--tokens must be 3 to {TOKENS}, which MiniLM reads at most, got {given.tokens}")
    print(f"{'batch':>6} {'peak MB':>8} {'beyond MB':>10} {'of the first':>13}")
    first = 0.0
    for batch in given.batches:
        found = measured(WAYS[0], "short", batch, given.device, given.tokens)
        first = first or found["after"]
        print(
            f"{batch:>6} {found['after']:8,.0f} {found['after'] - found['before']:10,.0f} {found['after'] / first:12.3f}x"
        )


def write_base(folder: Path, given: argparse.Namespace, device: torch.device) -> None:
    """A causal language model's checkpoint in 8B proportions, with random weights, as a hub would give it."""
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    torch.set_default_dtype(kind)  # else a float32 copy is made first
    try:
        model = network(given.layers, given.hidden, device, kind)
    finally:
        torch.set_default_dtype(torch.float32)
    with quiet():
        model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    del config["is_causal"]
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaForCausalLM"]}), "utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(TOKENIZER / name, folder / name)


def lora_settings(folder: Path, given: argparse.Namespace) -> TrainingConfig:
    """LoRA as in configs/llama-8b-lora-80gb.yaml."""
    return make_config(
        {
            "base": str(folder),
            "output": "unused",
            "sources": [{"path": "unused"}],
            "method": "lora",
            "lora": {"rank": given.rank, "alpha": 2 * given.rank},
            "query_tokens": given.tokens,
            "document_tokens": given.tokens,
            "gradient_checkpointing": True,
            "mini_batch_tokens": given.mini_batch_tokens,
            "keep_tokens": 0,
            "device": given.device,
        }
    )


def operations(*, frozen: int, adapters: int, attention: int) -> dict[str, int]:
    """Operations of a token, needed and done, by the formula above: frozen is P, adapters A, attention T."""
    forward = 2 * frozen + 2 * adapters + attention
    backward = 2 * frozen + 4 * adapters + 2 * attention
    return {"needed": forward + backward, "done": 3 * forward + backward}


def gpu(given: argparse.Namespace) -> None:
    """One step of LoRA on a network in 8B proportions: rate, share of the peak, memory."""
    with tempfile.TemporaryDirectory() as place:
        device = torch.device(given.device)
        write_base(Path(place), given, device)
        if device.type == "cuda":
            torch.cuda.empty_cache()
        config = lora_settings(Path(place), given)
        base = load_base(config)
    step, tokens = ours_on(base, config, short(given.batch, given.tokens + 2))  # cut to `tokens` by the reading
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    before = peak()
    for _ in range(2):  # the first one warms up
        began = time.perf_counter()
        step()
        seconds = time.perf_counter() - began
    report(given, base, tokens, seconds)
    print(f"memory  {before / 1e3:.2f} GB before the first step, {peak() / 1e3:.2f} GB at most")


def report(given: argparse.Namespace, base: Base, tokens: int, seconds: float) -> None:
    """What a step did, and how fast."""
    sizes = {name: (one.numel(), one.requires_grad) for name, one in base.model.named_parameters()}
    frozen = sum(size for name, (size, is_trained) in sizes.items() if not is_trained and "embed_tokens" not in name)
    adapters = sum(size for size, is_trained in sizes.values() if is_trained)
    device = base.model.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    most = given.peak_tflops * 1e12 if given.peak_tflops else next((PEAK[name] for name in PEAK if name in where), None)
    print(
        f"{where}, {frozen:,} weights in the layers, {adapters:,} in adapters, {base.precision}, batch {given.batch} x 2 texts of "
        f"{given.tokens} tokens, torch {torch.__version__}"
    )
    print(f"step    {seconds:.2f} s, {tokens:,} tokens, {tokens / seconds:,.0f} tokens/s")
    attention = 4 * given.layers * given.hidden * given.tokens
    for name, count in operations(frozen=frozen, adapters=adapters, attention=attention).items():
        rate = count * tokens / seconds
        share = f", {rate / most:.1%} of {most / 1e12:g}" if most else ""
        print(f"{name:<7} {count * tokens:.3g} operations, {rate / 1e12:.3g} Tops/s{share}")


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    for name in ("speed", "memory", "child"):
        one = what.add_parser(name)
        one.add_argument("--device", default="auto")
        if name == "child":
            one.add_argument("way", choices=WAYS)
        if name == "memory":
            one.add_argument("--batches", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
        else:
            one.add_argument("--data", default="")
            one.add_argument("--batch", type=int, default=128)
        if name == "speed":
            one.add_argument("--rounds", type=int, default=3)
        else:
            one.add_argument("--tokens", type=int, default=32, help="of each text")
    one = what.add_parser("gpu")
    one.add_argument("--device", default="cuda")
    for name, size in GPU_DEFAULTS.items():
        one.add_argument(name, type=int, default=size)
    one.add_argument("--peak-tflops", type=float, help="dense, of the GPU in bfloat16")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.what == "child":
        child(given.way, given.data, given.batch, given.tokens, given.device)
    else:
        {"speed": speed, "memory": memory, "gpu": gpu}[given.what](given)


if __name__ == "__main__":
    main()
