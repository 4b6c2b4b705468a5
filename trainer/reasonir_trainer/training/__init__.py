"""Contrastive training of a retrieval encoder, on one CPU or on many GPUs (ReasonIR, arXiv 2504.20595, section on training).

config.py      what is asked for, from a YAML file
model.py       the base: any sentence-transformers model or a causal checkpoint made bidirectional; LoRA, full
losses.py      one loss over the documents of the global batch, its gradients cached (GradCache)
saving.py      what a run leaves: the whole model, and the adapter alone
trainer.py     sentence-transformers' trainer with our batches and checkpoints
evaluating.py  nDCG@10 on held-out data while training
intensity.py   weights of examples by how much reasoning they need
run.py         `train(config)`: all of it together
estimate.py    what a run takes, before it starts
plot.py        the picture of a run; card.py: its card; push.py: onto the hub
ablation.py    named mixes of sources under one seed; ablation_table.py: as table and picture

Importing this package loads no torch.
"""

from reasonir_trainer.training.config import TrainingConfig, read_config

__all__ = ["TrainingConfig", "read_config"]
