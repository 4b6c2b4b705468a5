"""The base of a training run: a sentence-transformers model that encodes exactly as `ReasonIREncoder` does.

What a checkpoint is (direction of attention, pooling, prefixes, window) is read by `encoder.checkpoint`, the one that inference
uses. A causal checkpoint of a known bidirectional encoder, and a plain causal Llama, become bidirectional by
`config.is_causal = False`, proven by a probe; the switch is saved in config.json. What is saved opens in `ReasonIREncoder` and,
with the same vectors, in `SentenceTransformer(folder)`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import nn

from reasonir_agent.encoder.checkpoint import Checkpoint, read_checkpoint
from reasonir_agent.encoder.known import known_encoder
from reasonir_agent.encoder.locate import locate
from reasonir_agent.encoder.template import prefix
from reasonir_agent.encoder.tokens import TextTokenizer
from reasonir_agent.encoder.torch_backbone import cpu_is_fast_at_bfloat16, is_bidirectional, merge_adapter
from reasonir_agent.errors import CheckpointError, InputError, MissingExtra, boundary
from reasonir_trainer.training import processes
from reasonir_trainer.training.config import LoraSettings, TrainingConfig
from reasonir_trainer.training.sharding import put, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

_CAUSAL: Final = ("LlamaForCausalLM", "MistralForCausalLM")
_LONGEST: Final = 2048
POOLING: Final = {"mean": "mean", "cls": "cls", "last": "lasttoken"}
ADAPTER: Final = "default"
_WITH_POOLER: Final = ("bert", "roberta", "xlm-roberta", "camembert")
_POOLER: Final = "pooler"
"""A layer of BERT's checkpoints that no vector goes through; it is kept as it was."""
_LAYER_LISTS: Final = ("layer", "layers", "h")
"""What the architectures call their lists of layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model that is ready to be trained, and what its texts look like.

    Attributes:
        model: on its device.
        checkpoint: what its folder says.
        name: under which the base can be opened again.
        tokenizer: of the base.
        query_prefix: of the base, for sources without an instruction.
        document_prefix: of all documents.
        query_tokens: most tokens of a query.
        document_tokens: likewise.
        precision: dtype of matrix products.
    """

    model: SentenceTransformer
    checkpoint: Checkpoint
    name: str
    tokenizer: TextTokenizer
    query_prefix: str
    document_prefix: str
    query_tokens: int
    document_tokens: int
    precision: torch.dtype

    def prefix_of(self, instruction: str | None) -> str:
        """Prefix of the queries of a source."""
        if instruction is None:
            return self.query_prefix
        return prefix(self.checkpoint.query_template, self.checkpoint.instruction, instruction)

    def trainable(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        return {name: one for name, one in self.model.named_parameters() if one.requires_grad}


def load_base(config: TrainingConfig) -> Base:
    """Load the base and prepare it as the configuration says.

    Raises:
        InputError: the base is unknown, or the configuration asks of it what it cannot do.
        CheckpointError: its folder cannot be used.
        MissingExtra: a package is not installed.
    """
    located = locate(config.base)
    checkpoint = _as_retriever(read_checkpoint(located.folder, located.known, located.adapter))
    device = device_of(config)
    precision = precision_of(config, device)
    window = min(checkpoint.window, _LONGEST)
    query_tokens, document_tokens = (_tokens(name, config, checkpoint, window) for name in ("query", "document"))
    model = _model(checkpoint, config, device, max(query_tokens, document_tokens))
    torch.manual_seed(config.seed)  # the adapter's first values
    _choose_parameters(model, config)
    if not config.dropout:
        switch_off_dropout(model, keep_adapter=config.lora.dropout > 0)
    if config.gradient_checkpointing:
        with quiet():  # transformers 5.23 has a new name for it, which 5.2 does not know
            network(model).gradient_checkpointing_enable({"use_reentrant": False})
    return Base(
        model=model,
        checkpoint=checkpoint,
        name=located.name,
        tokenizer=TextTokenizer(located.folder),
        query_prefix=prefix(checkpoint.query_template, checkpoint.instruction, config.query_instruction),
        document_prefix=checkpoint.document_prefix,
        query_tokens=query_tokens,
        document_tokens=document_tokens,
        precision=precision,
    )


def network(model: SentenceTransformer) -> Any:
    """The transformer inside a sentence-transformers model."""
    return model[0].model


def layers_of(inner: nn.Module) -> list[nn.Module]:
    """The layers of a network, first to last."""
    lists = (one for name, one in inner.named_modules() if name.rpartition(".")[2] in _LAYER_LISTS)
    return [layer for one in lists if isinstance(one, nn.ModuleList) for layer in one]


def switch_off_dropout(model: nn.Module, *, keep_adapter: bool = False) -> None:
    """Set every dropout to 0, for this process alone: nothing of it is saved."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and not (keep_adapter and "lora_dropout" in name):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0


@contextmanager
def blended(base: Base, start: Mapping[str, torch.Tensor], share: float) -> Iterator[None]:
    """The model with a share of the way from its first weights to its present ones, inside the block."""
    kept = {name: one.detach().clone() for name, one in base.trainable().items()}
    blend(base, start, share)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, one in base.trainable().items():
                one.copy_(kept[name])


def blend(base: Base, start: Mapping[str, torch.Tensor], share: float) -> None:
    """Go back towards the first weights: an adapter's product B A is scaled, other weights are interpolated."""
    for name, one in base.trainable().items():
        if "lora_A" not in name:
            put(one, start[name] * (1 - share) + whole(one) * share)


def _as_retriever(checkpoint: Checkpoint) -> Checkpoint:
    """A plain causal language model becomes ReasonIR's shape: bidirectional, mean pooling without prefix, its template."""
    architectures = checkpoint.config.get("architectures") or []
    if checkpoint.bidirectional or not set(architectures) & set(_CAUSAL):
        return checkpoint
    shape = known_encoder("reasonir-8b")
    assert shape is not None
    return replace(
        checkpoint,
        bidirectional=True,
        pooling="mean",
        pool_prefix=False,
        query_template=shape.query_template,
        instruction=shape.instruction,
        document_prefix=shape.document_prefix,
    )


def _model(checkpoint: Checkpoint, config: TrainingConfig, device: torch.device, longest: int) -> SentenceTransformer:
    arguments: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False}
    arguments["attn_implementation"] = attention_of(config, device)
    arguments["dtype"] = dtype_of(checkpoint.config, config)
    if checkpoint.architecture in _WITH_POOLER:
        arguments["add_pooling_layer"] = _has_pooler(
            checkpoint
        )  # else one of random numbers would be saved with the result
    if config.method == "qlora":
        if checkpoint.adapter is not None:
            raise InputError(
                "method qlora cannot train on top of an adapter; use method lora, or give the merged model"
            )
        arguments["quantization_config"] = _four_bits()
    with boundary(CheckpointError, f"loading the base in {checkpoint.folder}"), quiet():
        transformer = Transformer(
            str(checkpoint.folder),
            max_seq_length=longest,
            model_kwargs={**arguments, "local_files_only": True},
            processor_kwargs={"local_files_only": True},
            config_kwargs={"local_files_only": True, "trust_remote_code": False},
        )
        if checkpoint.bidirectional:
            transformer.model.config.is_causal = False
        if checkpoint.adapter is not None:
            merge_adapter(transformer.model, checkpoint.adapter)
        pooling = Pooling(checkpoint.dim, POOLING[checkpoint.pooling], include_prompt=checkpoint.pool_prefix)
        query = prefix(checkpoint.query_template, checkpoint.instruction, config.query_instruction)
        model = SentenceTransformer(
            modules=[transformer, pooling, Normalize()],
            device=str(device),
            prompts={"query": query, "document": checkpoint.document_prefix},
        )
    if checkpoint.bidirectional and not is_bidirectional(network(model).eval()):
        raise CheckpointError(
            f"{checkpoint.folder} must be trained with bidirectional attention, but the installed transformers loads it as a "
            "causal model; install a tested version (transformers>=5.2,<6, see constraints.txt)"
        )
    return model


def _has_pooler(checkpoint: Checkpoint) -> bool:
    from safetensors import safe_open

    for file in checkpoint.weights:
        with boundary(CheckpointError, f"reading {file}"), safe_open(str(file), framework="pt") as opened:
            if any(_POOLER in name for name in opened.keys()):  # noqa: SIM118
                return True
    return False


def attention_of(config: TrainingConfig, device: torch.device) -> str:
    """The implementation of attention."""
    if config.attention != "auto":
        return config.attention
    return "eager" if device.type == "cpu" else "sdpa"


def has_billions(shape: Mapping[str, Any]) -> bool:
    """Whether a network is so wide that its weights count in billions; `shape` is its config.json."""
    return int(shape.get("hidden_size") or 0) >= 2048


def dtype_of(shape: Mapping[str, Any], config: TrainingConfig) -> torch.dtype:
    """How the base's weights are held; `shape` is its config.json.

    A frozen base of billions of weights is held as it was published; small ones, and what is trained, in float32.
    """
    published = str(shape.get("dtype", ""))
    is_large = config.method == "lora" and has_billions(shape) and published != "float32"
    return torch.bfloat16 if config.method == "qlora" or is_large else torch.float32


def _choose_parameters(model: SentenceTransformer, config: TrainingConfig) -> None:
    if config.method == "full":
        for name, one in model.named_parameters():
            one.requires_grad_(is_trained(name, config))
        return
    try:
        from peft import LoraConfig
    except ModuleNotFoundError as cause:
        raise MissingExtra(
            f"training by {config.method} needs the package {cause.name!r}; run: pip install reasonir-trainer"
        ) from cause
    inner = network(model)
    wanted = targets(inner, config.lora)
    for one in model.parameters():
        one.requires_grad_(False)
    settings = LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,  # type: ignore[arg-type]
        lora_dropout=config.lora.dropout,
        target_modules=wanted,
        layers_to_transform=list(config.lora.layers) or None,
        layers_pattern=list(_LAYER_LISTS) if config.lora.layers else None,
        exclude_modules=rf".*\b{_POOLER}\b.*" if getattr(inner, _POOLER, None) is not None else None,
        bias="none",
    )
    with quiet(), boundary(InputError, f"adding adapters to {', '.join(wanted)}"):
        inner.add_adapter(settings, adapter_name=ADAPTER)
    # transformers gives an adapter the base's dtype; AdamW's small steps would be lost in bfloat16.
    for one in inner.parameters():
        if one.requires_grad:
            one.data = one.data.float()
    if config.gradient_checkpointing:
        inner.enable_input_require_grads()


def is_trained(name: str, config: TrainingConfig) -> bool:
    """Whether method "full" trains the parameter of a name."""
    is_words = "word_embeddings" in name or "embed_tokens" in name
    return _POOLER not in name and not (config.freeze_embeddings and is_words)


def targets(inner: nn.Module, lora: LoraSettings) -> list[str]:
    """Last names of the linear layers that get an adapter; a pooler, which no encoder uses, is left out.

    Raises:
        InputError: the network has no such module or no such layer.
    """
    names = [name for name, one in inner.named_modules() if isinstance(one, nn.Linear) and _POOLER not in name]
    linear = {name.rpartition(".")[2] for name in names}
    unknown = sorted(set(lora.targets) - linear) if lora.targets != ("all",) else []
    if unknown:
        raise InputError(
            f"lora.targets: the base has no linear layer {unknown[0]!r}; it has {', '.join(sorted(linear))}"
        )
    numbers = {number for name in names if (number := _layer_of(name)) is not None}
    missing = sorted(set(lora.layers) - numbers)
    if missing:
        raise InputError(f"lora.layers: the base has no layer {missing[0]}; it has {len(numbers)}, from 0")
    return sorted(linear if lora.targets == ("all",) else lora.targets)


def has_adapter(name: str, wanted: Sequence[str], lora: LoraSettings) -> bool:
    """Whether the linear module of a name gets an adapter; `wanted` is what `targets` says."""
    return name.rpartition(".")[2] in wanted and (not lora.layers or _layer_of(name) in lora.layers)


def _layer_of(name: str) -> int | None:
    """The number of a module's layer: 3 of encoder.layer.3.attention.self.query."""
    parts = name.split(".")
    found = next((number for kind, number in pairwise(parts) if kind in _LAYER_LISTS and number.isdigit()), None)
    return None if found is None else int(found)


def _four_bits() -> Any:
    try:
        import bitsandbytes  # type: ignore[import-not-found,unused-ignore] # noqa: F401
    except ModuleNotFoundError as cause:
        raise MissingExtra("method qlora needs the package 'bitsandbytes'; run: pip install bitsandbytes") from cause
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _tokens(name: str, config: TrainingConfig, checkpoint: Checkpoint, window: int) -> int:
    wanted: int | None = getattr(config, f"{name}_tokens")
    if wanted is None:
        return window
    if wanted > checkpoint.window:
        raise InputError(f"{name}_tokens is {wanted}, but the base reads {checkpoint.window} tokens at most")
    return wanted


def device_of(config: TrainingConfig) -> torch.device:
    """Where a run works; of several processes each takes the GPU of its number.

    Raises:
        InputError: the device is not there.
    """
    name = config.device
    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", processes.place())
    with boundary(InputError, f"using the device {name!r}"):
        device = torch.device(name)
        torch.empty(0, device=device)
    return device


def check_device(config: TrainingConfig) -> None:
    """Refuse, before anything is read or fetched, what this machine cannot do.

    Raises:
        InputError: the device is not there, or quantised weights need a GPU.
    """
    if config.method == "qlora" and device_of(config).type != "cuda":
        raise InputError(
            "method qlora needs an NVIDIA GPU; use method lora on this machine (an estimate for a GPU: --dry-run with "
            "--tokens-per-second)"
        )


def precision_of(config: TrainingConfig, device: torch.device) -> torch.dtype:
    """The type of matrix products."""
    name = config.precision
    if name == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_is_fast_at_bfloat16()
        return torch.bfloat16 if fast and device.type in ("cpu", "cuda") else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the loading bars of transformers, and its and peft's announcements of future changes, off the terminal."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
