"""Which batches there are, on disk: a small file of states, and for each open round a file with its requests.

A round is "prepared" (its requests are on disk; a batch may or may not have been created, which its name tells at the
server), then "submitted" (the batch's id is known), and gone once its output is in the journal.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from reasonir_agent.errors import StoreError, boundary
from reasonir_trainer.synthesis.journal import Asked
from reasonir_trainer.synthesis.run_folder import write_whole


@dataclass(frozen=True, slots=True)
class Round:
    """One batch.

    Attributes:
        name: ours, unlike that of any other batch of the account.
        calls: requests in it.
        batch: the server's id; "" while nobody knows whether it was created.
    """

    name: str
    calls: int
    batch: str = ""


class Rounds:
    """The open rounds of a shard.

    Args:
        file: of their states; their requests lie in the folder of the same name.

    Raises:
        StoreError: the file is broken.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._folder = file, file.with_suffix("")
        self._open: dict[str, Round] = {}
        if file.exists():
            with boundary(StoreError, f"reading {file}"):
                found = json.loads(file.read_text(encoding="utf-8"))
                self._open = {one["name"]: Round(**one) for one in found["rounds"]}

    def __iter__(self) -> Iterator[Round]:
        return iter(list(self._open.values()))

    def prepare(self, requests: Sequence[tuple[Asked, dict[str, Any]]]) -> Round:
        """Write a new round's requests down.

        Raises:
            StoreError: they cannot be written.
        """
        new = Round(f"reasonir-{uuid.uuid4().hex}", len(requests))
        lines = [json.dumps({"asked": asdict(asked), "request": request}) + "\n" for asked, request in requests]
        with boundary(StoreError, f"writing {self._folder}", catch=(OSError,)):
            self._folder.mkdir(exist_ok=True)
            self._requests(new).write_text("".join(lines), encoding="utf-8")
        self._save(new)
        return new

    def submitted(self, one: Round, batch: str) -> Round:
        """The batch of a round is known."""
        known = replace(one, batch=batch)
        self._save(known)
        return known

    def close(self, one: Round) -> None:
        """A round is over: its output is in the journal, or there never was a batch."""
        del self._open[one.name]
        self._write()
        self._requests(one).unlink(missing_ok=True)

    def asked(self, one: Round) -> dict[str, Asked]:
        """What was asked in a round, by key."""
        return {line["asked"]["key"]: Asked(**line["asked"]) for line in self._lines(one)}

    def input(self, one: Round) -> bytes:
        """The input file of a round, as it is uploaded."""
        return "".join(json.dumps(line["request"]) + "\n" for line in self._lines(one)).encode()

    def _lines(self, one: Round) -> Iterator[dict[str, Any]]:
        with (
            boundary(StoreError, f"reading {self._requests(one)}"),
            self._requests(one).open(encoding="utf-8") as lines,
        ):
            for line in lines:
                yield json.loads(line)

    def _requests(self, one: Round) -> Path:
        return self._folder / f"{one.name}.jsonl"

    def _save(self, one: Round) -> None:
        self._open[one.name] = one
        self._write()

    def _write(self) -> None:
        write_whole(self._file, {"rounds": [asdict(one) for one in self._open.values()]})
