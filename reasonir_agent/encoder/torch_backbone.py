"""The transformer itself, through the stock classes of transformers: weights in, pooled vectors out.

A ReasonIR checkpoint is a Llama whose attention looks both ways. Since transformers 5.2 `config.is_causal = False` on
the stock class gives that, bit for bit what the checkpoint's own code gives; before 5.2 the switch is silently
ignored. So every model that must be bidirectional is probed after loading, with and without padding, and a library
that changed the meaning of the switch is found before it encodes anything.

sentence-transformers is a file format here and not imported; `auto_map` never reaches transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reasonir_agent.encoder.adapter import read_adapter
from reasonir_agent.encoder.batching import OutOfMemory, Row, pad
from reasonir_agent.encoder.checkpoint import Checkpoint, stored_numbers
from reasonir_agent.errors import CheckpointError, InputError, boundary, missing_extra

try:
    import torch
    from transformers import AutoModel
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.utils import logging as transformers_logging
except ModuleNotFoundError as cause:
    raise missing_extra("encoder", "encoding with local weights", cause) from cause

if TYPE_CHECKING:
    from pathlib import Path

    from reasonir_agent.types import FloatMatrix

_IGNORED: Final = ("lm_head.", "pooler.", "score.", "cls.", "embeddings.position_ids", "rotary_emb.inv_freq")
"""Tensors that a checkpoint may hold and an encoder does not use."""

_NOMIC_NAMES: Final = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "n_positions": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
}


class TorchBackbone:
    """A loaded network.

    Args:
        checkpoint: what to load and how.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto", "float32", "bfloat16", "float16".

    Raises:
        CheckpointError: the weights do not fit the architecture, or attention is not bidirectional.
        InputError: the device is not there.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: str, dtype: str) -> None:
        self.device = _device(device)
        self.dtype = _dtype(dtype, self.device)
        self._pooling = checkpoint.pooling
        self.model = _load(checkpoint, self.dtype).to(self.device).eval()
        if checkpoint.bidirectional and not is_bidirectional(self.model):
            raise CheckpointError(
                f"{checkpoint.folder} must be encoded with bidirectional attention, but the installed transformers "
                "loads it as a causal model; install a tested version (transformers>=5.2,<6, see constraints.txt)"
            )
        self.packed = False
        if self.device.type == "cuda":
            self.pack()

    def pack(self) -> bool:
        """Run texts without padding from now on, where this model is proven to keep them apart; whether it does."""
        from reasonir_agent.encoder import packing

        self.packed = packing.packs(self.model, self._extra)
        return self.packed

    def forward(self, batch: list[Row]) -> FloatMatrix:
        """Pooled, normalised vectors, float32 [rows, dim]."""
        try:
            vectors = self._packed(batch) if self.packed else self._padded(batch)
            result: FloatMatrix = vectors.cpu().numpy()
        except RuntimeError as cause:  # torch.OutOfMemoryError is one
            if not _is_out_of_memory(cause):
                raise
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            raise OutOfMemory(
                f"a text of {max(len(row.ids) for row in batch):,} tokens does not fit into the memory of "
                f"{self.device}; use a smaller max_tokens or another device"
            ) from cause
        return result

    def _padded(self, batch: list[Row]) -> torch.Tensor:
        ids, attended, pooled = pad(batch)
        with torch.inference_mode():
            hidden = self.model(
                input_ids=torch.from_numpy(ids).to(self.device),
                attention_mask=None if attended.all() else torch.from_numpy(attended).to(self.device).long(),
                **self._extra,
            ).last_hidden_state
            return _pool(hidden, torch.from_numpy(pooled).to(self.device), self._pooling)

    def _packed(self, batch: list[Row]) -> torch.Tensor:
        from reasonir_agent.encoder import packing

        with torch.inference_mode():
            return packing.pool(packing.forward(self.model, batch, self._extra), batch, self._pooling)

    @property
    def _extra(self) -> dict[str, Any]:
        return {"use_cache": False} if hasattr(self.model.config, "use_cache") else {}


def is_bidirectional(model: Any) -> bool:
    """Probe whether the first token's state depends on the last token, with and without padding."""
    device = next(model.parameters()).device
    vocabulary = int(model.config.vocab_size)
    ids = [min(5 + i, vocabulary - 1) for i in range(5)]
    return all(_sees_the_end(model, ids, padded=padded, device=device) for padded in (False, True))


def _sees_the_end(model: Any, ids: list[int], *, padded: bool, device: torch.device) -> bool:
    def first_state(tokens: list[int]) -> torch.Tensor:
        row = torch.tensor([tokens + tokens[:1] * padded], device=device)
        mask = torch.ones_like(row)
        if padded:
            mask[0, -1] = 0
        with torch.inference_mode():
            state: torch.Tensor = model(input_ids=row, attention_mask=mask).last_hidden_state[0, 0]
        return state.float()

    # The same positions, another last token: a causal model gives the very same first state.
    return not torch.equal(first_state(ids), first_state([*ids[:-1], ids[0]]))


def _load(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    config = _config(checkpoint)
    arguments: dict[str, Any] = {
        "config": config,
        "dtype": dtype if checkpoint.adapter is None else _before_merging(checkpoint, dtype),
        "attn_implementation": "sdpa",
        "output_loading_info": True,
        "use_safetensors": True,
        "trust_remote_code": False,
        "local_files_only": True,
    }
    if checkpoint.architecture in ("bert", "roberta", "xlm-roberta", "camembert", "nomic_bert"):
        arguments["add_pooling_layer"] = False
    with boundary(CheckpointError, f"loading the weights in {checkpoint.folder}"), _Quiet():
        model, report = AutoModel.from_pretrained(str(checkpoint.folder), **arguments)
    problems = [
        f"{kind.replace('_', ' ')}: {sorted(map(str, found))[0]}"
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
        if (found := [key for key in report.get(kind) or () if not _ignored(kind, key)])
    ]
    if problems:
        raise CheckpointError(
            f"the weights in {checkpoint.folder} do not fit the architecture {checkpoint.architecture!r} "
            f"({'; '.join(problems)})"
        )
    if checkpoint.adapter is not None:
        merge_adapter(model, checkpoint.adapter)
        for one in model.parameters():  # not the buffers: rotary frequencies stay float32
            one.data = one.data.to(dtype)
        model.config.dtype = dtype
    return model


def merge_adapter(model: torch.nn.Module, folder: Path) -> None:
    """Add an adapter to the weights of a network, computed in float32 whatever they are kept in.

    Raises:
        CheckpointError: the adapter is damaged, or was trained on another network.
    """
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, delta in read_adapter(folder).deltas({name: tuple(one.shape) for name, one in weights.items()}):
            one = weights[name]
            one.copy_(one.float() + torch.from_numpy(delta).to(one.device))


def _before_merging(checkpoint: Checkpoint, dtype: torch.dtype) -> torch.dtype:
    """As the weights are stored, if that is what is wanted, else float32: they must not be rounded before the sum."""
    kept = {"BF16": torch.bfloat16, "F16": torch.float16}
    return dtype if {kept.get(one) for one in stored_numbers(checkpoint.weights)} == {dtype} else torch.float32


def _ignored(kind: str, key: Any) -> bool:
    name = str(key).removeprefix("model.").removeprefix("bert.")
    return kind == "unexpected_keys" and name.startswith(_IGNORED)


def _config(checkpoint: Checkpoint) -> Any:
    if checkpoint.architecture not in CONFIG_MAPPING:
        raise CheckpointError(
            f"{checkpoint.folder} is of the architecture {checkpoint.architecture!r}, which the installed "
            "transformers does not have; code from a checkpoint is never run"
        )
    raw = {k: v for k, v in checkpoint.config.items() if k not in ("model_type", "architectures", "_name_or_path")}
    if checkpoint.architecture == "nomic_bert":
        raw = _native_nomic(raw)
    raw.pop("torch_dtype", None)
    with boundary(CheckpointError, f"reading the configuration in {checkpoint.folder}"):
        config = CONFIG_MAPPING[checkpoint.architecture](**raw)
    if checkpoint.bidirectional:
        config.is_causal = False  # on the object: as an argument it is refused or silently ignored
        if getattr(config, "sliding_window", None):
            config.sliding_window = None  # GritLM encodes with full attention
    return config


def _native_nomic(raw: dict[str, Any]) -> dict[str, Any]:
    """The names of the stock class for the names that the first Nomic checkpoints were published with."""
    if "n_embd" not in raw:
        return raw
    known = {new: raw[old] for old, new in _NOMIC_NAMES.items() if raw.get(old) is not None}
    kept: dict[str, Any] = {
        name: raw[name] for name in ("vocab_size", "type_vocab_size", "pad_token_id") if name in raw
    }
    theta = float(raw.get("rotary_emb_base", 1000.0))
    return {**kept, **known, "rope_parameters": {"rope_type": "default", "rope_theta": theta}}


def _pool(hidden: torch.Tensor, pooled: torch.Tensor, how: str) -> torch.Tensor:
    """`encoder.pooling.pool` on the device, in float32: [rows, tokens, dim] -> [rows, dim]."""
    if how == "mean":
        total = (hidden.float() * pooled[..., None]).sum(dim=1)
        vectors = total / pooled.sum(dim=1, keepdim=True).clamp(min=1.0)
    elif how == "cls":
        vectors = hidden[torch.arange(len(hidden), device=hidden.device), pooled.argmax(dim=1)].float()
    else:
        last = pooled.shape[1] - 1 - pooled.flip(1).argmax(dim=1)
        vectors = hidden[torch.arange(len(hidden), device=hidden.device), last].float()
    return torch.nn.functional.normalize(vectors, dim=1)


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    with boundary(InputError, f"using the device {name!r}"):
        device = torch.device(name)
        torch.empty(0, device=device)
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
        return torch.bfloat16 if device.type == "cpu" and cpu_is_fast_at_bfloat16() else torch.float32
    dtype: torch.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    return dtype


def cpu_is_fast_at_bfloat16() -> bool:
    """Whether the processor has bfloat16 units (AMX, AVX512-BF16); elsewhere bfloat16 is emulated and slow."""
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)


def _is_out_of_memory(cause: RuntimeError) -> bool:
    text = str(cause).lower()
    return isinstance(cause, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text


class _Quiet:
    """Keeps the loading bar and reports of transformers off the user's terminal."""

    def __enter__(self) -> None:
        self._level = transformers_logging.get_verbosity()
        self._bar = transformers_logging.is_progress_bar_enabled()
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    def __exit__(self, *_: object) -> None:
        transformers_logging.set_verbosity(self._level)
        if self._bar:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
