"""The folder of a run: which file is which, and which request it belongs to.

    settings.json          what was asked for, and a hash of the documents: the folder's identity
    documents-I-of-N.json  what became of the documents on the way to seeds, counted
    seeds.jsonl            the seeds of all shards; seeds-I-of-N.jsonl: those of one shard that judged its own
    calls-I-of-N.jsonl     every reply of the model, under the key of its call
    items-I-of-N.jsonl     every item that is finished, one `Row` or `Rejected` a line, in order of completion
    batches-I-of-N.json    what was handed to a batch API
    data.jsonl ...         what finishing makes of it

A folder answers one request: other settings or other documents are refused with their differences, unless forced. A
folder that holds something else is left alone. Writers of one file exclude each other (`journal.Lines`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from reasonir_agent.errors import InputError, StoreError, boundary
from reasonir_trainer.synthesis.prompts import VERSION
from reasonir_trainer.synthesis.settings import SynthesisSettings

SETTINGS: Final = "settings.json"
_PLAIN: Final = ("exclude", "prompts")
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Shard:
    """One worker's share of the seeds, "2/8".

    Attributes:
        number: from 1.
        of: how many there are.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def read(cls, text: str) -> Shard:
        """A shard as it is written on the command line.

        Raises:
            InputError: it is none.
        """
        number, slash, of = text.partition("/")
        if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise InputError(f"a shard is written I/N with I from 1 to N (2/8), got {text!r}")
        return cls(int(number), int(of))

    @property
    def is_whole(self) -> bool:
        """Whether it is the only one."""
        return self.of == 1

    def holds(self, seed_id: str) -> bool:
        """Whether a seed, and everything that is made from it, belongs to this shard."""
        digest = hashlib.sha256(f"shard\0{seed_id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The documents of a run: how many, and one hash over their names and contents."""

    paths: tuple[str, ...]
    files: int
    sha256: str

    @classmethod
    def of(cls, paths: Sequence[str]) -> Inputs:
        """Read every file under the paths once.

        Raises:
            InputError: a path does not exist, or a file cannot be read.
        """
        from reasonir_agent.corpus.reading import Finder, FoundFile

        finder, whole, files = Finder(), hashlib.sha256(), 0
        for path in paths:
            for found in finder.walk(path):
                if isinstance(found, FoundFile):
                    whole.update(f"{found.path}\0".encode(errors="surrogatepass"))
                    whole.update(_digest(Path(found.path)))
                    files += 1
        return cls(tuple(paths), files, whole.hexdigest())


@dataclass(frozen=True, slots=True)
class Request:
    """What a folder answers.

    Attributes:
        settings: what is made.
        inputs: of what.
        exclude: names of the evaluation sets that the items must keep away from.
        exclude_sha256: what they hold, in the same order.
        prompts: version of the prompts.
    """

    settings: SynthesisSettings
    inputs: Inputs
    exclude: tuple[str, ...] = ()
    exclude_sha256: tuple[str, ...] = ()
    prompts: int = VERSION

    def as_json(self) -> dict[str, Any]:
        """What stands in `settings.json`."""
        return {
            "settings": self.settings.as_json(),
            "inputs": asdict(self.inputs) | {"paths": list(self.inputs.paths)},
            "exclude": list(self.exclude),
            "exclude_sha256": list(self.exclude_sha256),
            "prompts": self.prompts,
        }

    @classmethod
    def read(cls, folder: Path) -> Request:
        """The request of a folder.

        Raises:
            InputError: it is no folder of a run.
        """
        found = _read(folder)
        if found is None:
            raise InputError(f"{folder} is no folder of a run: it holds no {SETTINGS}")
        try:
            settings = found["settings"] | {"languages": tuple(found["settings"]["languages"])}
            inputs = found["inputs"] | {"paths": tuple(found["inputs"]["paths"])}
            exclude, hashes = tuple(found["exclude"]), tuple(found["exclude_sha256"])
            return cls(SynthesisSettings(**settings), Inputs(**inputs), exclude, hashes, found["prompts"])
        except (KeyError, TypeError) as cause:
            raise InputError(f"{folder / SETTINGS} is not from a run of this version: {cause}") from cause

    def differences(self, found: dict[str, Any]) -> list[str]:
        """One line for each thing in which a folder's file differs: "hard: 2 there, 1 now"."""
        lines = self.settings.differences(found.get("settings", {}))
        mine = self.as_json()
        there, now = found.get("inputs", {}), mine["inputs"]
        if there.get("paths") != now["paths"]:
            lines.append(f"documents: {there.get('paths')} there, {now['paths']} now")
        elif there.get("sha256") != now["sha256"]:
            lines.append(f"documents: changed ({there.get('files')} files there, {now['files']} now)")
        if found.get("exclude") == mine["exclude"] and found.get("exclude_sha256") != mine["exclude_sha256"]:
            lines.append(f"exclude: the data sets {', '.join(self.exclude)} hold something else now")
        lines += [
            f"{one}: {found.get(one)!r} there, {mine[one]!r} now" for one in _PLAIN if found.get(one) != mine[one]
        ]
        return lines


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names of the files of one shard in a folder.

    Attributes:
        path: the folder.
        shard: whose files `calls`, `items`, `seeds` and `batches` are.
    """

    path: Path
    shard: Shard = field(default_factory=Shard)

    @property
    def calls(self) -> Path:
        """Journal of replies."""
        return self.path / f"calls-{self.shard}.jsonl"

    @property
    def items(self) -> Path:
        """Finished items."""
        return self.path / f"items-{self.shard}.jsonl"

    @property
    def all_seeds(self) -> Path:
        """The seeds of every shard."""
        return self.path / "seeds.jsonl"

    @property
    def seeds(self) -> Path:
        """The seeds that this shard judged itself; those of a whole run are everybody's."""
        return self.all_seeds if self.shard.is_whole else self.path / f"seeds-{self.shard}.jsonl"

    @property
    def candidates(self) -> Path:
        """What the documents hold, until the seeds are settled."""
        return self.path / f"candidates-{self.shard}.jsonl"

    @property
    def documents(self) -> Path:
        """What became of the documents on the way to seeds, counted."""
        return self.path / f"documents-{self.shard}.json"

    @property
    def batches(self) -> Path:
        """State of what was handed to a batch API; its requests lie in the folder of the same name."""
        return self.path / f"batches-{self.shard}.json"

    def open(self, request: Request, *, force: bool = False) -> list[str]:
        """Make the folder, or see that it is one for this request.

        Args:
            request: what is asked for now.
            force: go on with other settings; what is finished stays as it was made.

        Returns:
            The differences that were forced.

        Raises:
            InputError: it holds something else, was made for another request or shared out otherwise.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; --out takes a folder")
        found = _read(self.path)
        if found is None:
            self._refuse_others()
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / SETTINGS, request.as_json())
            return []
        self._refuse_other_shards()
        differences = request.differences(found)
        if differences and not force:
            raise InputError(
                f"{self.path} was begun with other settings ({'; '.join(differences)}); "
                "take the same ones, another --out, or --force to go on with the new ones"
            )
        if differences:
            stale = (
                *self.path.glob("seeds*.jsonl"),
                *self.path.glob("candidates-*.jsonl"),
                *self.path.glob("documents-*.json"),
            )
            for old in stale:  # chosen by other rules
                old.unlink(missing_ok=True)
            write_whole(self.path / SETTINGS, request.as_json())
        return differences

    def _refuse_others(self) -> None:
        if self.path.is_dir() and any(self.path.iterdir()):
            raise InputError(
                f"{self.path} holds something else than a run (no {SETTINGS}); give an empty or new folder"
            )

    def _refuse_other_shards(self) -> None:
        """Two ways of sharing out in one folder would make items twice."""
        for file in self.path.glob("items-*-of-*.jsonl"):
            of = file.stem.rpartition("-")[2]
            if of != str(self.shard.of) and file.stat().st_size:
                raise InputError(
                    f"{self.path} is shared out among {of} ({file.name}), and this run among {self.shard.of}; "
                    "take the same --shard I/N, or join it first: reasonir-trainer merge DIR --out NEW"
                )


def write_whole(file: Path, value: dict[str, Any]) -> None:
    """Write a small JSON file so that it is there whole or not at all, even after a power cut."""
    aside = file.with_name(f"{file.name}.{os.getpid()}.part")
    with boundary(StoreError, f"writing {file}", catch=(OSError,)):
        with aside.open("w", encoding="utf-8") as writing:
            writing.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
            writing.flush()
            os.fsync(writing.fileno())
        aside.replace(file)


def _read(folder: Path) -> dict[str, Any] | None:
    """The object in settings.json; None where there is no such file."""
    file = folder / SETTINGS
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as cause:
        raise InputError(f"{file} cannot be read: {cause}") from cause
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        raise InputError(f"{folder} holds something else than a run ({SETTINGS} is not ours); give a new folder")
    return found


def _digest(file: Path) -> bytes:
    digest = hashlib.sha256()
    with boundary(InputError, f"reading {file}", catch=(OSError,)), file.open("rb") as reading:
        while block := reading.read(_BLOCK):
            digest.update(block)
    return digest.digest()
