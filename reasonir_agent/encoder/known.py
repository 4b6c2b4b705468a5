"""The encoders that we know by name: where they are, how they are used, under which licence.

One row a model. A checkpoint that is not in the table still opens: its own files say how it pools and which prompts
it has. The table's rows carry what those files do not say, and what the command line shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reasonir_agent.encoder.template import DEFAULT_INSTRUCTION, EMBED_MARKER, REASONIR_QUERY


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEncoder:
    """One row of the table.

    Attributes:
        name: short name, accepted by `--encoder`.
        hub_id: repository on the model hub; of a shipped adapter, its base's.
        architecture: stock architecture that loads it (`config.model_type`).
        bidirectional: whether attention must look both ways; proven after loading.
        query_template: prefix of a query, `{instruction}` filled in.
        instruction: default instruction.
        document_prefix: prefix of a document.
        pooling: "mean", "cls" or "last".
        pool_prefix: whether the prefix's tokens are pooled too.
        window: tokens that are read, prefix included.
        dim: length of a vector.
        licence: of the weights.
        commercial: whether that licence allows commercial use.
        languages: "en", "en+code" or "many".
        abstain_below: cosine under which the best passage of a corpus of 100 is no evidence (measured, see
            `reasonir evaluate abstention`); None where it was never calibrated.
        adapter: folder under `ADAPTERS` of what is added to the base's weights; "" for weights of its own.
        adapter_files: file and SHA-256 of everything in that folder that shapes a vector.
    """

    name: str
    hub_id: str
    architecture: str
    bidirectional: bool
    query_template: str = ""
    instruction: str = ""
    document_prefix: str = ""
    pooling: str = "mean"
    pool_prefix: bool = True
    window: int
    dim: int
    licence: str
    commercial: bool
    languages: str = "en"
    abstain_below: float | None = None
    adapter: str = ""
    adapter_files: tuple[tuple[str, str], ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether its weights come with packages, so that no hub is asked."""
        return self.hub_id == _LOCAL_BASE

    @property
    def is_shipped(self) -> bool:
        """Whether the adapter's files lie in this package; what they hold is verified when they are opened."""
        folder = ADAPTERS / self.adapter
        return bool(self.adapter_files) and all((folder / name).is_file() for name, _ in self.adapter_files)


ADAPTERS: Final = Path(__file__).parent / "adapters"
"""What this package ships: a folder for each adapter."""

_LOCAL_BASE: Final = "sentence-transformers/all-MiniLM-L6-v2"
_QWEN_QUERY = "Instruct: {instruction}\nQuery:"

_MINILM: Final = KnownEncoder(
    name="minilm",
    hub_id=_LOCAL_BASE,
    architecture="bert",
    bidirectional=True,
    window=256,
    dim=384,
    licence="Apache-2.0",
    commercial=True,
    abstain_below=0.305,
)

KNOWN_ENCODERS: Final[tuple[KnownEncoder, ...]] = (
    _MINILM,
    replace(
        _MINILM,
        name="reasonir-mini",
        abstain_below=0.32,
        adapter="reasonir-mini",
        adapter_files=(
            ("adapter_config.json", "65db348afe5f2282614e30851754e0803e48f4b994ad50f503f37a134547b73f"),
            ("adapter_model.safetensors", "9ca64f1313445e0ca5e17372d8f91f39bcea12c992ec6096af657f954b83acd5"),
        ),
    ),
    KnownEncoder(
        name="reasonir-8b",
        hub_id="reasonir/ReasonIR-8B",
        architecture="llama",
        bidirectional=True,
        query_template=REASONIR_QUERY,
        instruction=DEFAULT_INSTRUCTION,
        document_prefix=EMBED_MARKER,
        pool_prefix=False,
        window=32768,
        dim=4096,
        licence="CC-BY-NC-4.0",
        commercial=False,
    ),
    KnownEncoder(
        name="gritlm-7b",
        hub_id="GritLM/GritLM-7B",
        architecture="mistral",
        bidirectional=True,
        query_template=REASONIR_QUERY,
        instruction=DEFAULT_INSTRUCTION,
        document_prefix=EMBED_MARKER,
        pool_prefix=False,
        window=4096,
        dim=4096,
        licence="Apache-2.0",
        commercial=True,
    ),
    KnownEncoder(
        name="nomic-v1.5",
        hub_id="nomic-ai/nomic-embed-text-v1.5",
        architecture="nomic_bert",
        bidirectional=True,
        query_template="search_query: ",
        document_prefix="search_document: ",
        window=8192,
        dim=768,
        licence="Apache-2.0",
        commercial=True,
    ),
    KnownEncoder(
        name="diver-0.6b",
        hub_id="AQ-MedAI/Diver-Retriever-0.6B",
        architecture="qwen3",
        bidirectional=False,
        query_template=_QWEN_QUERY,
        instruction=DEFAULT_INSTRUCTION,
        pooling="last",
        window=16384,
        dim=1024,
        licence="Apache-2.0",
        commercial=True,
        languages="many",
    ),
    KnownEncoder(
        name="diver-4b",
        hub_id="AQ-MedAI/Diver-Retriever-4B",
        architecture="qwen3",
        bidirectional=False,
        query_template=_QWEN_QUERY,
        instruction=DEFAULT_INSTRUCTION,
        pooling="last",
        window=16384,
        dim=2560,
        licence="Apache-2.0",
        commercial=True,
        languages="many",
    ),
    KnownEncoder(
        name="multilingual-e5-small",
        hub_id="intfloat/multilingual-e5-small",
        architecture="bert",
        bidirectional=True,
        query_template="query: ",
        document_prefix="passage: ",
        window=512,
        dim=384,
        licence="MIT",
        commercial=True,
        languages="many",
    ),
)

MINILM: Final = _MINILM.name
_BETTER: Final = "reasonir-mini"
MULTILINGUAL_ENCODER: Final = "multilingual-e5-small"


def default_encoder() -> str:
    """Name of the local default: `reasonir-mini` where this package ships it, else `minilm`."""
    row = known_encoder(_BETTER)
    return row.name if row is not None and row.is_shipped else MINILM


def known_encoder(name: str) -> KnownEncoder | None:
    """The row whose name or hub id is `name` (case does not matter), or None. A hub id is no adapter's."""
    wanted = name.lower()
    for row in KNOWN_ENCODERS:
        if wanted == row.name or (wanted == row.hub_id.lower() and not row.adapter):
            return row
    return None
