"""Tokens per second of an 8B-shaped network with random weights, packed and padded, and the share of the GPU's peak.

    python benchmarks/gpu.py                                    # ReasonIR-8B's shape in bfloat16; needs 20 GB of GPU memory
    python benchmarks/gpu.py --device cpu --layers 2 --hidden 64 --texts 40    # a trial of the benchmark itself

Texts have mixed lengths (log-normal, 8 to 2,048 tokens). Work is counted as 2 operations for each weight of the layers
and token, and 4 x layers x hidden x length for attention. Packed and padded take turns; medians of five.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from transformers import LlamaConfig, LlamaModel

from reasonir_agent.encoder import packing
from reasonir_agent.encoder.batching import Row, pad, plan

PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "RTX 4090": 165e12}
"""Dense bfloat16 operations per second, from the vendors' data sheets."""
BUDGET = 65_536


def network(layers: int, hidden: int, device: torch.device, dtype: torch.dtype) -> LlamaModel:
    """Llama-3.1-8B's proportions with attention that looks both ways."""
    heads = max(1, hidden // 128)
    config = LlamaConfig(
        vocab_size=128_256 if hidden >= 1024 else 1_000,
        hidden_size=hidden,
        intermediate_size=hidden * 7 // 2,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 4),
        max_position_embeddings=131_072,
    )
    config.is_causal, config.use_cache = False, False
    with torch.device(device):
        return LlamaModel(config).to(dtype).eval()


def texts(count: int, words: int) -> list[Row]:
    """Random tokens of mixed lengths; the first twelve are not pooled, as an instruction's."""
    rng = np.random.default_rng(7)
    lengths = np.clip(rng.lognormal(5.0, 1.0, count), 8, 2048).astype(int)
    return [Row(rng.integers(5, words, size=length).tolist(), min(12, length - 1)) for length in lengths]


def padded(model: LlamaModel, batch: list[Row]) -> torch.Tensor:
    """The road with padding."""
    ids, attended, pooled = (torch.from_numpy(one).to(model.device) for one in pad(batch))
    with torch.inference_mode():
        states = model(input_ids=ids, attention_mask=attended.long(), use_cache=False).last_hidden_state.float()
        means = (states * pooled[..., None]).sum(1) / pooled.sum(1, keepdim=True)
        return torch.nn.functional.normalize(means, dim=1)


def packed(model: LlamaModel, batch: list[Row]) -> torch.Tensor:
    """The road without."""
    with torch.inference_mode():
        return packing.pool(packing.forward(model, batch, {"use_cache": False}), batch, "mean")


def timed(road: object, model: LlamaModel, batches: list[list[Row]]) -> tuple[float, torch.Tensor]:
    """Seconds, and the vectors."""
    began = time.perf_counter()
    vectors = torch.cat([road(model, batch) for batch in batches])  # type: ignore[operator]
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, vectors


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=4096)
    parser.add_argument("--texts", type=int, default=2000)
    given = parser.parse_args()
    device = torch.device(given.device)
    model = network(given.layers, given.hidden, device, torch.bfloat16 if device.type == "cuda" else torch.float32)
    rows = texts(given.texts, model.config.vocab_size)
    batches = [[rows[place] for place in group] for group in plan([len(row.ids) for row in rows], BUDGET)]
    tokens = sum(len(row.ids) for row in rows)
    weights = sum(one.numel() for name, one in model.named_parameters() if "embed_tokens" not in name)
    work = 2 * weights * tokens + 4 * given.layers * given.hidden * sum(len(row.ids) ** 2 for row in rows)
    seconds: dict[str, list[float]] = {"padded": [], "packed": []}
    found: dict[str, torch.Tensor] = {}
    for round_number in range(6):  # the first one warms up
        for name, road in (("padded", padded), ("packed", packed)):
            if name == "packed" and not packing.packs(model, {"use_cache": False}):
                raise SystemExit("this model cannot be packed here")
            if name == "padded":
                model.set_attn_implementation("sdpa")
            taken, found[name] = timed(road, model, batches)
            if round_number:
                seconds[name].append(taken)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    peak = next((most for name, most in PEAK.items() if name in where), None)
    print(
        f"{where}, {weights / 1e9:.2f} G weights in the layers, {len(rows)} texts, {tokens:,} tokens, torch {torch.__version__}"
    )
    for name, times in seconds.items():
        middle = statistics.median(times)
        share = f"  {work / middle / peak:5.1%} of peak" if peak else ""
        print(f"{name:7} {tokens / middle:10,.0f} tokens/s  {work / middle / 1e12:7.2f} Tops/s{share}")
    like = torch.nn.functional.cosine_similarity(found["padded"], found["packed"], dim=1)
    print(
        f"packed against padded: {statistics.median(seconds['padded']) / statistics.median(seconds['packed']):.2f}x, least cosine {like.min():.5f}"
    )


if __name__ == "__main__":
    main()
