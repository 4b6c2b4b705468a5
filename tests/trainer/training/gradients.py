"""One of two processes: the gradients of its part of a batch under DDP, and of the whole batch alone."""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import distributed
from torch.nn.parallel import DistributedDataParallel


def examples(count: int) -> list[Any]:
    from reasonir_trainer.data.examples import Candidate, Example

    words = "why is the sky blue light scatters air small waves river stone heat cold salt moon".split()
    found = []
    for number in range(count):
        texts = [
            " ".join(
                [*np.random.default_rng(100 * number + part).choice(words, 3 + (5 * number + part) % 11), str(number)]
            )
            for part in range(4)
        ]
        found.append(
            Example(
                f"e{number}",
                f"{texts[0]} 0",
                (Candidate(f"{texts[1]} 1", 4.0 if number % 2 else None),),
                tuple(Candidate(f"{text} {part}", 1.0 * part) for part, text in enumerate(texts[2:], 2)),
                weight=1.0 + number % 3,
            )
        )
    found[1] = replace(found[1], positives=found[0].positives)
    return found


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rank, folder = int(os.environ["RANK"]), Path(sys.argv[2])
    from reasonir_trainer.data.examples import Source
    from reasonir_trainer.data.mixing import Drawn
    from reasonir_trainer.training.config import make_config
    from reasonir_trainer.training.losses import ContrastiveLoss, LossSettings
    from reasonir_trainer.training.model import load_base
    from reasonir_trainer.training.run import make_reading
    from reasonir_trainer.training.trainer import as_tensors

    config = make_config({**json.loads(Path(sys.argv[1]).read_text()), "negatives": 2})
    base = load_base(config)
    base.model.train()
    source = Source("some", examples(12))
    drawn = Drawn(source, list(source.examples), 0)
    reading = make_reading(config, base, [source])
    settings = LossSettings(temperature=0.1, near_duplicate=0.9999, margin=0.6, distill=0.5)

    def gradients(model: Any, number: int, world: int) -> dict[str, torch.Tensor]:
        base.model.zero_grad()
        tensors = as_tensors(reading.batch(drawn, rank=number, world=world), torch.device("cpu"))
        loss = ContrastiveLoss(model, settings, mini_batch_tokens=50)
        loss([tensors["queries"], tensors["documents"]], tensors["facts"]).backward()
        return {name: one.grad.clone() for name, one in base.trainable().items() if one.grad is not None}

    if rank == 0:
        save_file(gradients(base.model, 0, 1), folder / "alone.safetensors")
        counts = [len(reading.batch(drawn, rank=one, world=2).keys) for one in (0, 1)]
        (folder / "documents.json").write_text(json.dumps(counts))
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    wrapped = DistributedDataParallel(base.model)
    save_file(gradients(wrapped, rank, 2), folder / f"{rank}.safetensors")
    distributed.barrier()
    sys.stderr.flush()
    os._exit(0)  # taking the group down was seen to hang on a busy machine


if __name__ == "__main__":
    main()
