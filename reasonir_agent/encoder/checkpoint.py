"""What a model folder says about itself, read as JSON and nothing else.

Owns the decision how a checkpoint is loaded: architecture, direction of attention, pooling, prefixes, window.
Refuses pickled weights, architectures that would need the checkpoint's own code, and pooling that we do not compute.
No code of a checkpoint is ever executed; `auto_map` is dropped before a library sees the configuration.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from reasonir_agent.encoder import adapter as adapters
from reasonir_agent.encoder.known import KnownEncoder, known_encoder
from reasonir_agent.encoder.template import DEFAULT_INSTRUCTION, EMBED_MARKER, REASONIR_QUERY
from reasonir_agent.errors import CheckpointError, boundary

_DECODERS: Final = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"})
_POOLING: Final = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
_PROMPTS: Final = "config_sentence_transformers.json"
_TRANSFORMER: Final = "sentence_bert_config.json"
_NO_WINDOW: Final = 1 << 31
"""transformers writes 1e30 for a tokenizer without a limit."""

_PICKLED: Final = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How one model folder is to be loaded and used.

    Attributes:
        folder: where the files are.
        config: `config.json` without `auto_map`.
        architecture: stock `model_type`.
        bidirectional: whether every token must see every other; proven after loading.
        pooling: "mean", "cls" or "last".
        pool_prefix: whether the prefix's tokens are pooled too.
        query_template: prefix of a query; may hold `{instruction}`.
        instruction: default instruction.
        document_prefix: prefix of a document.
        window: tokens that are read.
        weights: the safetensors files, sorted.
        adapter: folder of what is added to the weights; None for the weights alone.
    """

    folder: Path
    config: dict[str, Any]
    architecture: str
    bidirectional: bool
    pooling: str
    pool_prefix: bool
    query_template: str
    instruction: str
    document_prefix: str
    window: int
    weights: tuple[Path, ...]
    adapter: Path | None = None

    @property
    def files(self) -> list[Path]:
        """Every file that shapes a vector and is not read into this object: weights, tokenizer, adapter."""
        own = [*self.weights, self.folder / "tokenizer.json"]
        return own if self.adapter is None else [*own, self.adapter / adapters.CONFIG, self.adapter / adapters.WEIGHTS]

    @property
    def dim(self) -> int:
        """Length of a vector."""
        width = self.config.get("hidden_size") or self.config.get("n_embd")
        if not isinstance(width, int):
            raise CheckpointError(
                f"{self.folder}/config.json names no hidden_size; {self.architecture!r} is no encoder that we load"
            )
        return width


def read_checkpoint(folder: Path, known: KnownEncoder | None = None, adapter: Path | None = None) -> Checkpoint:
    """Read a model folder.

    Args:
        folder: holds config.json, tokenizer.json and *.safetensors.
        known: its row in the table; None means that the files alone decide.
        adapter: folder of an adapter of it, whose own window, prompts and pooling go before the base's.

    Raises:
        CheckpointError: something is missing, unsafe or not understood; the sentence says what.
    """
    base = _read_base(folder, known)
    return base if adapter is None else _with_adapter(base, adapter)


def _read_base(folder: Path, known: KnownEncoder | None) -> Checkpoint:
    config = _json(folder / "config.json")
    code = json.dumps(config.pop("auto_map", None) or "") + json.dumps(config.get("architectures") or "")
    known = known or _recognised(code.lower())
    weights = _safe_weights(folder)
    if not (folder / "tokenizer.json").is_file():
        raise CheckpointError(f"{folder} has no tokenizer.json; save the tokenizer in its fast form beside the weights")
    architecture = known.architecture if known else str(config.get("model_type") or "")
    if not architecture:
        raise CheckpointError(f"{folder}/config.json names no model_type")
    longest = _positions(config, architecture)
    if known is not None:
        return Checkpoint(
            folder=folder,
            config=config,
            architecture=architecture,
            bidirectional=known.bidirectional,
            pooling=known.pooling,
            pool_prefix=known.pool_prefix,
            query_template=known.query_template,
            instruction=known.instruction,
            document_prefix=known.document_prefix,
            window=min(known.window, longest or known.window),
            weights=weights,
        )
    return _from_own_files(folder, config, architecture, longest, weights)


def count_parameters(weights: Sequence[Path]) -> int:
    """Numbers in the matrices and vectors of safetensors files, embedding tables left out; reads the headers only.

    Raises:
        CheckpointError: a header cannot be read.
    """
    return sum(math.prod(one["shape"]) for name, one in _headers(weights) if "embed" not in name)


def stored_numbers(weights: Sequence[Path]) -> set[str]:
    """The kinds of number in safetensors files ("F32", "BF16"); reads the headers only.

    Raises:
        CheckpointError: a header cannot be read.
    """
    return {str(one["dtype"]) for _, one in _headers(weights)}


def _headers(weights: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and description of every tensor."""
    for file in weights:
        with boundary(CheckpointError, f"reading {file}"), file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        yield from ((name, one) for name, one in header.items() if name != "__metadata__")


def _recognised(code: str) -> KnownEncoder | None:
    """A checkpoint in the wild is known by the names of the classes it asks for."""
    if "reasonir" in code:
        return known_encoder("reasonir-8b")
    if "gritlm" in code:
        return known_encoder("gritlm-7b")
    return None


def _from_own_files(
    folder: Path, config: dict[str, Any], architecture: str, longest: int, weights: tuple[Path, ...]
) -> Checkpoint:
    """Follow the sentence-transformers files of a folder; without them, mean pooling and no prompts."""
    pooling, pool_prefix = _pooling(folder)
    decoder = architecture in _DECODERS
    limits = [longest, _own_window(folder)]
    query_template, instruction, document_prefix = _prompts(folder)
    return Checkpoint(
        folder=folder,
        config=config,
        architecture=architecture,
        bidirectional=not decoder or config.get("is_causal") is False,
        pooling=pooling,
        pool_prefix=pool_prefix,
        query_template=query_template,
        instruction=instruction,
        document_prefix=document_prefix,
        window=min([limit for limit in limits if limit > 0] or [512]),
        weights=weights,
    )


def _with_adapter(base: Checkpoint, adapter: Path) -> Checkpoint:
    """An adapter's folder says what it was trained with where that is not as with the base."""
    if not (adapter / adapters.WEIGHTS).is_file():
        raise CheckpointError(f"{adapter} has no {adapters.WEIGHTS}; save the adapter as safetensors")
    found = replace(base, adapter=adapter)
    if own := _own_window(adapter):
        found = replace(found, window=min(own, _positions(base.config, base.architecture) or own))
    query_template, instruction, document_prefix = _prompts(adapter)
    if query_template or document_prefix:  # all empty is what sentence-transformers writes where nobody chose any
        found = replace(found, query_template=query_template, instruction=instruction, document_prefix=document_prefix)
    if _json(adapter / _TRANSFORMER, optional=True).get("config_kwargs") == {"is_causal": False}:
        found = replace(found, bidirectional=True)
    if (adapter / "modules.json").is_file():
        pooling, pool_prefix = _pooling(adapter)
        found = replace(found, pooling=pooling, pool_prefix=pool_prefix)
    return found


def _positions(config: dict[str, Any], architecture: str) -> int:
    """Tokens that a network has positions for; 0 where it names none."""
    longest = int(config.get("max_position_embeddings") or config.get("n_positions") or 0)
    if architecture in ("roberta", "xlm-roberta", "camembert"):
        return max(0, longest - 2)  # their positions start at the padding index + 1
    return longest


def _prompts(folder: Path) -> tuple[str, str, str]:
    """Template and default instruction of a query, and prefix of a document, as the folder was saved with."""
    prompts = _json(folder / _PROMPTS, optional=True).get("prompts") or {}
    query = str(prompts.get("query") or "")
    document = str(prompts.get("document") or prompts.get("passage") or "")
    if query.startswith("<|user|>\n") and query.endswith(EMBED_MARKER):
        return REASONIR_QUERY, _instruction_of(query), document  # trained here: another instruction can be put in
    return query, "", document


def _own_window(folder: Path) -> int:
    """The window that a folder was saved with; 0 where it names none.

    sentence-transformers kept it in a file of its own and, from version 6, keeps it with the tokenizer.
    """
    for name, key in ((_TRANSFORMER, "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        found = _json(folder / name, optional=True).get(key)
        if isinstance(found, int) and 0 < found < _NO_WINDOW:
            return found
    return 0


def _instruction_of(prompt: str) -> str:
    before, after = REASONIR_QUERY.split("{instruction}")
    return prompt.removeprefix(before).removesuffix(after) or DEFAULT_INSTRUCTION


def _pooling(folder: Path) -> tuple[str, bool]:
    modules_file = folder / "modules.json"
    if not modules_file.is_file():
        return "mean", True
    pooling, pool_prefix = "mean", True
    with boundary(CheckpointError, f"reading {modules_file}"):
        modules = [(str(module["type"]), str(module["path"])) for module in json.loads(modules_file.read_bytes())]
    for name, path in modules:
        kind = name.rsplit(".", 1)[-1]
        if kind in ("Transformer", "Normalize"):
            continue
        if kind != "Pooling":
            raise CheckpointError(f"{folder} uses the module {kind!r}; we load Transformer, Pooling and Normalize")
        settings = _json(folder / path / "config.json")
        pooling, pool_prefix = _pooling_mode(folder, settings), bool(settings.get("include_prompt", True))
    return pooling, pool_prefix


def _pooling_mode(folder: Path, settings: dict[str, Any]) -> str:
    named = settings.get("pooling_mode")
    modes = [named] if isinstance(named, str) else list(named or [])
    modes = modes or [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    readable = {**_POOLING, "mean": "mean", "cls": "cls", "lasttoken": "last"}
    if len(modes) != 1 or modes[0] not in readable:
        raise CheckpointError(f"{folder} pools by {modes}; we compute one of mean, cls and last token")
    return readable[modes[0]]


def _safe_weights(folder: Path) -> tuple[Path, ...]:
    weights = tuple(sorted(folder.glob("*.safetensors")))
    if weights:
        return weights
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        raise CheckpointError(
            f"{folder} holds its weights in pickle files ({pickled[0]}), which can run code when they are opened; "
            "convert them to safetensors first"
        )
    raise CheckpointError(f"{folder} has no *.safetensors file")


def _json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if optional:
            return {}
        raise CheckpointError(f"{path} is missing") from None
    except ValueError as cause:
        raise CheckpointError(f"{path} is not valid JSON: {cause}") from cause
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} must hold a JSON object, got {type(found).__name__}")
    return found
