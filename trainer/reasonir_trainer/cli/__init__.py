"""`reasonir-trainer`: the command line of the trainer, one module per command.

main.py      the door: the commands, exit codes, errors as one clear sentence
screen.py    what the user sees
choices.py   options, environment and settings files joined
watching.py  progress and Ctrl-C of a long run; ending.py: what is told at its end

The only package of the trainer that reads the environment or prints. Heavy things are imported inside the commands.
"""

from reasonir_trainer.cli.main import main

__all__ = ["main"]
