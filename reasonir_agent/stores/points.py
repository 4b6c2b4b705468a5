"""Named moments between two durable steps of a writer. Nothing happens here; tests kill the process at each of them.

Killed at any of these, the same command run again must end in the same state.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Point = Literal[
    "shard aside",
    "shard renamed",
    "vectors noted",
    "file committed",
    "files removed",
    "lexical written",
    "lexical switched",
    "chroma marked",
    "chroma updated",
    "chroma switched",
    "vectors compacted",
    "encoder noted",
    "encoder switched",
]

POINTS: Final[tuple[Point, ...]] = get_args(Point)


def reached(point: Point) -> None:
    """Called when the step before is on disk and the next has not begun."""
