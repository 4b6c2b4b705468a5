"""How the trainer's command line speaks; terminal.py of reasonir_agent says how every command line of ours does."""

from __future__ import annotations

import sys

from reasonir_agent.terminal import Ended as Ended
from reasonir_agent.terminal import clean as clean
from reasonir_agent.terminal import err as err
from reasonir_agent.terminal import note as note
from reasonir_agent.terminal import print_json as print_json


def say(text: str) -> None:
    """Lines of the result on stdout."""
    sys.stdout.write(clean(text) + "\n")
