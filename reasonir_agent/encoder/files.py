"""Hashes of model files, computed once: a 16 GB checkpoint is not read again at every start.

The cache is keyed by path, size and modification time in nanoseconds and lives in the user's cache folder. It is a
convenience: a folder that cannot be written only means that the next start hashes again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

from reasonir_agent.errors import CheckpointError

CACHE_FOLDER = Path.home() / ".cache" / "reasonir-agent"


def file_hashes(files: list[Path], *, cache_folder: Path | None = None) -> dict[str, str]:
    """SHA-256 of each file, by file name relative to nothing but itself (the full path is the key).

    Args:
        files: the files to hash.
        cache_folder: where known hashes are kept; None means `CACHE_FOLDER`.
    """
    cache_file = (cache_folder or CACHE_FOLDER) / "hashes.json"
    cache = _read(cache_file)
    hashes: dict[str, str] = {}
    fresh = False
    for path in files:
        state = path.stat()
        key = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"
        if key not in cache:
            with path.open("rb") as stream:
                cache[key] = hashlib.file_digest(stream, "sha256").hexdigest()
            fresh = True
        hashes[str(path)] = cache[key]
    if fresh:
        _write(cache_file, cache)
    return hashes


def verify_files(folder: Path, expected: dict[str, str], *, package: str) -> None:
    """Check that every named file of `folder`, which `package` installs, has the hash that is expected.

    Raises:
        CheckpointError: a file is missing or differs; it is named.
    """
    for name in expected:
        if not (folder / name).is_file():
            raise CheckpointError(f"the package {package} in {folder} lacks the file {name!r}; reinstall {package}")
    hashes = file_hashes([folder / name for name in expected])
    for name, wanted in expected.items():
        if hashes[str(folder / name)] != wanted:
            raise CheckpointError(
                f"{folder / name} is not the official file (SHA-256 {hashes[str(folder / name)][:12]}..., "
                f"expected {wanted[:12]}...); reinstall {package}"
            )


def _read(cache_file: Path) -> dict[str, str]:
    try:
        found = json.loads(cache_file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(cache_file: Path, cache: dict[str, str]) -> None:
    with contextlib.suppress(OSError):
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=cache_file.parent)
        with os.fdopen(handle, "w") as stream:
            json.dump(cache, stream)
        Path(aside).replace(cache_file)
