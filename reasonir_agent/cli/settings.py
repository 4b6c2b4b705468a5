"""What the user chose, in order of precedence: option, then (for the encoder) the store, environment, reasonir.toml.

`reasonir.toml` in the working folder may hold `store`, `encoder`, `llm`, `k`, `exact_mb` (vectors up to this size are
searched exactly, without Chroma), and a table `[agent]` with the names of `AgentSettings`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from reasonir_agent.corpus import Corpus
    from reasonir_agent.encoder import ReasonIREncoder
    from reasonir_agent.evaluation.datasets import DataSet
    from reasonir_agent.llm import ChatModel

TOML: Final = "reasonir.toml"
_VARIABLES: Final = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "REASONIR_DATA", "REASONIR_TOKEN")
_KEYS: Final[dict[str, tuple[type, str]]] = {
    "store": (str, "a text"),
    "encoder": (str, "a text"),
    "llm": (str, "a text"),
    "k": (int, "a whole number"),
    "exact_mb": (int, "a whole number"),
    "agent": (dict, "a table"),
}

_KINDS: Final = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True, slots=True)
class Choices:
    """Options of one call, with what stands behind them.

    Attributes:
        store: `--store`, REASONIR_STORE, reasonir.toml, or .reasonir.
        encoder_option: `--encoder`.
        encoder_fallback: REASONIR_ENCODER or reasonir.toml; used for a store that does not exist yet.
        llm: `--llm`, REASONIR_LLM or reasonir.toml.
        agent: settings of the agent.
        exact_bytes: vectors up to this size are searched exactly; REASONIR_EXACT_MB or reasonir.toml.
        environment: what is left of the environment that we read (keys, addresses).
    """

    store: Path
    encoder_option: str | None
    encoder_fallback: str | None
    llm: str | None
    agent: AgentSettings
    exact_bytes: int
    environment: Mapping[str, str] = field(repr=False)

    @property
    def token(self) -> str | None:
        """What callers of our server must show; from the environment only, since options stand in process lists."""
        return self.environment.get("REASONIR_TOKEN") or None

    def open_encoder(self) -> ReasonIREncoder:
        """The encoder: as given, else the store's, else the fallback, else the local default."""
        from reasonir_agent.stores.encoders import stored_encoder

        return self.encoder_named(self.encoder_option or stored_encoder(self.store) or self.encoder_fallback)

    def encoder_named(self, name: str | None) -> ReasonIREncoder:
        """An encoder by folder, name or hub name, or by its server's address, `http://HOST/v1#MODEL`.

        The key for a server is OPENAI_API_KEY. MODEL may be left out where the server has one model only.
        """
        from reasonir_agent.encoder import ReasonIREncoder

        if name is None or not name.startswith(("http://", "https://")):
            return ReasonIREncoder(name)
        address, _, model = name.partition("#")
        return ReasonIREncoder(model or None, base_url=address, api_key=self.environment.get("OPENAI_API_KEY"))

    def open_corpus(self, *, create: bool = False) -> Corpus:
        """The corpus; without `create` the store must be there."""
        from reasonir_agent.corpus import Corpus
        from reasonir_agent.stores.database import FILE_NAME

        if not create and not (self.store / FILE_NAME).is_file():
            raise InputError(_no_store(self.store))
        return Corpus(self.store, self.open_encoder(), create=create, exact_bytes=self.exact_bytes)

    def open_data_set(self, name: str, *, is_long: bool = False) -> DataSet:
        """A data set by path, by its name under $REASONIR_DATA, or from the hub."""
        from reasonir_agent.evaluation.datasets import open_data_set

        data = self.environment.get("REASONIR_DATA")
        return open_data_set(name, data_folder=Path(data) if data else None, is_long=is_long)

    def open_chat_model(self, *, top_p: float | None = None) -> ChatModel | None:
        """The chat model, None when none was chosen."""
        if self.llm is None:
            return None
        from reasonir_agent.llm import open_chat_model

        is_openai = self.llm.startswith("openai:")
        return open_chat_model(
            self.llm,
            base_url=self.environment.get("OPENAI_BASE_URL") if is_openai else None,
            api_key=self.environment.get("OPENAI_API_KEY") if is_openai else None,
            temperature=self.agent.temperature,
            top_p=top_p,
            max_tokens=self.agent.max_reply_tokens,
            concurrency=self.agent.concurrency,
        )


def choose(
    *, store: Path | None = None, encoder: str | None = None, llm: str | None = None, k: int | None = None
) -> Choices:
    """Join options, environment and reasonir.toml.

    Raises:
        InputError: reasonir.toml cannot be read, or holds what we do not know.
    """
    environment = os.environ
    toml = _toml(Path(TOML))
    agent = dict(toml.get("agent", {}))
    chosen_k = k if k is not None else toml.get("k")
    if chosen_k is not None:
        agent["k"] = chosen_k
    return Choices(
        store=store or Path(environment.get("REASONIR_STORE") or toml.get("store") or ".reasonir"),
        encoder_option=encoder,
        encoder_fallback=environment.get("REASONIR_ENCODER") or toml.get("encoder"),
        llm=llm or environment.get("REASONIR_LLM") or toml.get("llm"),
        agent=_agent(agent),
        exact_bytes=_exact_bytes(environment.get("REASONIR_EXACT_MB"), toml.get("exact_mb")),
        environment={name: environment[name] for name in _VARIABLES if name in environment},
    )


def _exact_bytes(variable: str | None, stored: int | None) -> int:
    if not variable and stored is None:
        from reasonir_agent.stores.store import EXACT_BYTES

        return EXACT_BYTES
    value = variable or str(stored)
    if not value.isdecimal():
        raise InputError(f"exact_mb (REASONIR_EXACT_MB) must be a whole number of megabytes, 0 or more; got {value!r}")
    return int(value) * 1_000_000


def _toml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise InputError(f"{file} cannot be read: {cause}") from cause
    unknown = sorted(set(found) - set(_KEYS))
    if unknown:
        raise InputError(f"{file} holds the unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}")
    for name, value in found.items():
        kind, wanted = _KEYS[name]
        if not isinstance(value, kind):
            raise InputError(f"{file}: {name} must be {wanted}, got {value!r}")
    return found


def _agent(values: Mapping[str, Any]) -> AgentSettings:
    unknown = sorted(set(values) - set(AgentSettings.names()))
    if unknown:
        raise InputError(f"unknown agent setting {unknown[0]!r}; known are {', '.join(AgentSettings.names())}")
    kinds = get_type_hints(AgentSettings)
    for name, value in values.items():
        kind = next(one for one in (get_args(kinds[name]) or (kinds[name],)) if one is not NoneType)
        takes = (int, float) if kind is float else (kind,)
        if type(value) not in takes:  # and not isinstance: True is no number here
            raise InputError(f"the agent setting {name} must be {_KINDS[kind]}, got {value!r}")
    return AgentSettings(**values)


def _no_store(folder: Path) -> str:
    if folder.is_dir() and any(folder.iterdir()):
        return f"{folder} is not a store of reasonir; make one with: reasonir index PATH --store DIR"
    return f"there is no store at {folder}; make one with: reasonir index PATH"
