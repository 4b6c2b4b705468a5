"""What the user chose for a synthesis, in order of precedence: option, --config file, environment, reasonir.toml."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin, get_type_hints

from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from reasonir_agent.llm import ChatModel, Price
    from reasonir_agent.types import Encoder
    from reasonir_trainer.synthesis.exclusion import Exclusion
    from reasonir_trainer.synthesis.settings import SynthesisSettings

TOML: Final = "reasonir.toml"
_RETRIES: Final = 6  # about a minute: a server that restarts is waited for
_TIMEOUT: Final = 600.0  # seconds; 2,000 words from a slow local model
_KINDS: Final = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    tuple: "a list of texts",
}


def base_url() -> str | None:
    """OPENAI_BASE_URL."""
    return os.environ.get("OPENAI_BASE_URL") or None


def api_key() -> str | None:
    """OPENAI_API_KEY; from the environment only, since options stand in process lists."""
    return os.environ.get("OPENAI_API_KEY") or None


def hub_token() -> str | None:
    """HF_TOKEN."""
    return os.environ.get("HF_TOKEN") or None


def data_folder() -> Path | None:
    """REASONIR_DATA: where data sets lie by their names."""
    found = os.environ.get("REASONIR_DATA")
    return Path(found) if found else None


def guards(names: Sequence[str], settings: SynthesisSettings) -> list[Exclusion]:
    """The evaluation sets to keep away from; opened before anything else, so that a wrong name costs nothing.

    Raises:
        InputError: there is no such data set, or its files cannot be used.
    """
    if not names:
        return []
    from reasonir_trainer.synthesis.exclusion import Exclusion

    return [Exclusion.open(name, similar=settings.near_duplicate, data_folder=data_folder()) for name in names]


def settings_of(options: Mapping[str, Any], config: Path | None) -> tuple[SynthesisSettings, tuple[str, ...]]:
    """The settings of a run, and the data sets to keep away from.

    Args:
        options: name of a setting -> value, None where the option was not given; "exclude" among them.
        config: a TOML file of settings.

    Raises:
        InputError: a value cannot be used, the file is broken or holds what we do not know, or no model is named.
    """
    from reasonir_trainer.synthesis.settings import SynthesisSettings

    kinds = get_type_hints(SynthesisSettings)
    values = _read(config, kinds) if config is not None else {}
    values |= {name: value for name, value in options.items() if value is not None and value != ()}
    exclude = tuple(sorted(set(values.pop("exclude", ()))))  # their order changes nothing
    if "model" not in values:
        values["model"] = model_name(None)
    ways = get_args(kinds["negatives"])
    if values.get("negatives", ways[0]) not in ways:
        raise InputError(f"negatives are had in one of these ways: {', '.join(ways)}; got {values['negatives']!r}")
    return SynthesisSettings(**values), exclude


def model_name(option: str | None) -> str:
    """The chat model: the option, REASONIR_LLM, or `llm` of reasonir.toml.

    Raises:
        InputError: none is named.
    """
    name = option or os.environ.get("REASONIR_LLM") or _own_model()
    if not name:
        raise InputError("no chat model is named: give --llm provider:model (openai:gpt-5-mini) or set REASONIR_LLM")
    return name


def price_of(text: str | None) -> Price | None:
    """A price as it is written on the command line, "0.25,2.00" for a million tokens.

    Raises:
        InputError: it is none.
    """
    from reasonir_agent.llm import Price

    if text is None:
        return None
    try:
        prompt, completion = (float(part) for part in text.split(","))
    except ValueError as cause:
        raise InputError(f"a price is written PROMPT,COMPLETION for a million tokens (0.25,2), got {text!r}") from cause
    if not (0 <= prompt < float("inf") and 0 <= completion < float("inf")):
        raise InputError(f"a price is 0 or more, got {text!r}")
    return Price(prompt, completion)


def open_named(
    name: str,
    *,
    concurrency: int,
    temperature: float | None = None,
    reply_tokens: int | None = None,
    price: Price | None = None,
) -> ChatModel:
    """A chat model by "provider:model", patient as a long run needs it.

    Raises:
        InputError: the name has no provider, or the provider is unknown.
        MissingExtra: a package is not installed.
    """
    from reasonir_agent.llm import open_chat_model

    is_openai = name.startswith("openai:")
    return open_chat_model(
        name,
        base_url=base_url() if is_openai else None,
        api_key=api_key() if is_openai else None,
        temperature=temperature,
        max_tokens=reply_tokens,
        timeout=_TIMEOUT,
        max_retries=_RETRIES,
        concurrency=concurrency,
        price=price,
    )


def encoder_opener() -> Callable[[str], Encoder]:
    """Opens an encoder by folder, name or hub name, or by its server's address, `http://HOST/v1#MODEL`; once."""
    opened: dict[str, Encoder] = {}

    def one(name: str) -> Encoder:
        if name not in opened:
            opened[name] = _opened(name)
        return opened[name]

    return one


def _opened(name: str) -> Encoder:
    from reasonir_agent.encoder import ReasonIREncoder

    if not name.startswith(("http://", "https://")):
        return ReasonIREncoder(name)
    address, _, model = name.partition("#")
    return ReasonIREncoder(model or None, base_url=address, api_key=api_key())


def _own_model() -> str | None:
    """`llm` of reasonir.toml in the working folder."""
    file = Path(TOML)
    if not file.is_file():
        return None
    found = _toml(file).get("llm")
    if found is not None and not isinstance(found, str):
        raise InputError(f"{file}: llm must be a text, got {found!r}")
    return found


def _read(file: Path, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file, each of its kind."""
    found = _toml(file)
    if "llm" in found:
        found["model"] = found.pop("llm")
    known = dict(kinds) | {"exclude": tuple[str, ...]}
    unknown = sorted(found.keys() - known.keys())
    if unknown:
        raise InputError(f"{file} holds the unknown setting {unknown[0]!r}; known are {', '.join(known)}")
    return {name: _checked(name, value, known[name], file) for name, value in found.items()}


def _checked(name: str, value: Any, kind: Any, file: Path) -> Any:
    if isinstance(value, list) and get_origin(kind) is tuple and all(isinstance(one, str) for one in value):
        return tuple(value)
    wanted = next((one for one in get_args(kind) if one is not NoneType), kind) if NoneType in get_args(kind) else kind
    plain = wanted if isinstance(wanted, type) else type(next(iter(get_args(wanted)), ""))  # of a literal, its texts
    if get_origin(kind) is tuple:
        plain = tuple
    if type(value) is plain or (plain is float and type(value) is int):
        return value
    raise InputError(f"{file}: {name} must be {_KINDS.get(plain, plain.__name__)}, got {value!r}")


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise InputError(f"{file} cannot be read: {cause}") from cause
