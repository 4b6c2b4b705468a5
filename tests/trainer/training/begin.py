"""Runs a training run from a JSON file of settings; with a number, dies by SIGKILL at that step. For tests of kills and ranks."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import torch


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    from reasonir_trainer.training.config import make_config
    from reasonir_trainer.training.run import train
    from reasonir_trainer.training.watching import Progress

    config = make_config(json.loads(Path(sys.argv[1]).read_text()))
    deadly = {tuple(map(int, one.split(":"))) for one in sys.argv[2:]}  # rank:step

    def tell(progress: Progress) -> None:
        if (int(os.environ.get("RANK", 0)), progress.step) in deadly and progress.tokens_per_second:
            os.kill(os.getpid(), signal.SIGKILL)

    train(config, tell)


if __name__ == "__main__":
    main()
