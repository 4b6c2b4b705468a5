"""What a run leaves: the whole model for sentence-transformers, and the adapter alone, which says how it was trained."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sentence_transformers import SentenceTransformer

from reasonir_agent.encoder.checkpoint import Checkpoint, read_checkpoint
from reasonir_agent.encoder.known import known_encoder
from reasonir_agent.encoder.locate import locate
from reasonir_agent.encoder.template import prefix
from reasonir_trainer.training.model import POOLING, Base, network

_MODULES: Final = "sentence_transformers.models"


def save_model(base: Base, folder: Path) -> None:
    """Write the model as a folder of sentence-transformers, adapters merged, float32 or the base's own dtype.

    Raises:
        OSError: the folder cannot be written.
    """
    model = base.model
    inner = network(model)
    if getattr(inner, "_hf_peft_config_loaded", False):
        model = copy.deepcopy(model)
        inner = network(model)
        _merge(model)
    model.max_seq_length = base.checkpoint.window  # what was trained on may be shorter; measured is by the window
    if hasattr(inner.config, "auto_map"):
        del inner.config.auto_map  # it would name code that is no part of this folder
    model.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)
    _let_read(folder, folder / "modules.json")


def save_adapter(base: Base, folder: Path) -> None:
    """Write the adapter alone: its weights and adapter_config.json, which names the base by its name.

    Where it was trained in another way than its base is used (prompts, pooling, direction of attention), files of
    sentence-transformers beside it say so, and `ReasonIREncoder` follows them.
    """
    inner = network(base.model)
    inner.save_pretrained(str(folder), safe_serialization=True)
    # Named afterwards: at the sight of a hub name peft asks the hub while saving.
    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = _public_name(base.name)
    _write_json(folder / "adapter_config.json", settings)
    _let_read(folder, folder / "adapter_config.json")
    trained = replace(base.checkpoint, query_template=base.query_prefix, instruction="")
    plain = _as_it_is_used(base)
    if (trained.query_template, trained.document_prefix) != (plain.query_template, plain.document_prefix):
        prompts = {"query": trained.query_template, "document": trained.document_prefix}
        _write_json(folder / "config_sentence_transformers.json", {"prompts": prompts})
    if (trained.pooling, trained.pool_prefix) != (plain.pooling, plain.pool_prefix):
        (folder / "1_Pooling").mkdir()
        pooling = {"pooling_mode": POOLING[trained.pooling], "include_prompt": trained.pool_prefix}
        _write_json(folder / "1_Pooling" / "config.json", pooling)
        kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
        modules = [
            {"idx": n, "name": str(n), "path": path, "type": f"{_MODULES}.{kind}"}
            for n, (path, kind) in enumerate(kinds)
        ]
        _write_json(folder / "modules.json", modules)
    if trained.bidirectional != plain.bidirectional:
        _write_json(folder / "sentence_bert_config.json", {"config_kwargs": {"is_causal": False}})


def _let_read(folder: Path, like: Path) -> None:
    """Weights are for whom the other files are for; safetensors 0.8 lets only their owner read them."""
    for weights in folder.rglob("*.safetensors"):
        shutil.copymode(like, weights)


def _as_it_is_used(base: Base) -> Checkpoint:
    """What the base is without a run: its query prefix filled in."""
    located = locate(base.name)
    plain = read_checkpoint(located.folder, located.known, located.adapter)
    return replace(plain, query_template=prefix(plain.query_template, plain.instruction, None), instruction="")


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _public_name(name: str) -> str:
    known = known_encoder(name)
    if known is None:
        return Path(name).name
    return known.name if known.adapter else known.hub_id


def _merge(model: SentenceTransformer) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer

    inner = network(model)
    for name, module in list(inner.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            parent = inner.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], module.get_base_layer())
    del inner.peft_config
    inner._hf_peft_config_loaded = False
