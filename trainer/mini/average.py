"""The weighted sum of LoRA adapters of one base, as one adapter: exact, its rank is the sum of theirs.

    python trainer/mini/average.py OUT ADAPTER SHARE [ADAPTER SHARE ...]

What they change in a layer is B A times alpha / rank; B's columns and A's rows are laid side by side, the factors in B.
OUT opens wherever an adapter does; the other settings are those of the first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def main() -> None:
    """Write the sum."""
    out, folders, shares = (
        Path(sys.argv[1]),
        [Path(one) for one in sys.argv[2::2]],
        [float(one) for one in sys.argv[3::2]],
    )
    settings = [json.loads((folder / CONFIG).read_text("utf-8")) for folder in folders]
    weights = [load_file(folder / WEIGHTS) for folder in folders]
    factors = [share * one["lora_alpha"] / one["r"] for share, one in zip(shares, settings, strict=True)]
    if any(one.keys() != weights[0].keys() for one in weights):
        sys.exit("error: the adapters change different layers")
    whole = {}
    for name in weights[0]:
        if "lora_A" in name:
            whole[name] = torch.cat([one[name] for one in weights], dim=0)
        else:
            whole[name] = torch.cat([one[name] * factor for one, factor in zip(weights, factors, strict=True)], dim=1)
    rank = sum(one["r"] for one in settings)
    out.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in whole.items()}, out / WEIGHTS, metadata={"format": "pt"})
    written = json.dumps(settings[0] | {"r": rank, "lora_alpha": rank}, indent=2, sort_keys=True)
    (out / CONFIG).write_text(written + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
