"""From names and options to systems that are ready to run; every model is opened once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasonir_agent.cli.settings import Choices
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from reasonir_agent.encoder import ReasonIREncoder
    from reasonir_agent.evaluation.ledger import Ledger
    from reasonir_agent.evaluation.ranking import FirstStage
    from reasonir_agent.evaluation.rerankers import Live, Reranker
    from reasonir_agent.evaluation.retrieval import System
    from reasonir_agent.evaluation.runs import StoredRun
    from reasonir_agent.evaluation.searched import ByModel, FromFile, Searched
    from reasonir_agent.evaluation.systems import SystemConfig
    from reasonir_agent.llm import ChatModel

SystemOption = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        help="bm25, bm25-bright, bm25-reasonir; an encoder; ENCODER+bm25-reasonir; run:FOLDER; FILE.toml. Repeatable.",
    ),
]
RewritesOption = Annotated[
    str | None, typer.Option("--rewrites", help="Search with the rewritten queries of this file, or set of the hub.")
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Where vectors are kept between runs (default: vectors/ in --out).")
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder that gets a folder for each run.")]
SplitOption = Annotated[list[str] | None, typer.Option("--split", help="Only this split. Repeatable.")]

EVALUATIONS = Path("evaluations")


@dataclass(slots=True)
class Opener:
    """Opens systems for one command.

    Attributes:
        choices: options, environment, reasonir.toml.
        cache: where vectors are kept.
        ledger: where a chat model's finished work is kept.
        rewrites: file of rewritten queries for all systems that name none of their own.
        rewrite: whether the chat model rewrites, when there is one and no file.
        rerank_scores: file or folder of scores.
        rerank: name of a preset of live reranking.
        opened: closes what was opened.
    """

    choices: Choices
    cache: Path
    ledger: Path
    rewrites: str | None = None
    rewrite: bool = True
    rerank_scores: Path | None = None
    rerank: str | None = None
    opened: ExitStack = field(default_factory=ExitStack)
    _encoders: dict[tuple[object, ...], ReasonIREncoder] = field(default_factory=dict)
    _files: dict[str, FromFile] = field(default_factory=dict)
    _rewriters: dict[int, ByModel] = field(default_factory=dict)
    _live: Live | None = None
    _ledger: Ledger | None = None

    def system(self, config: SystemConfig) -> System:
        """Open what a configuration names.

        Raises:
            InputError: something of it is not there, or options contradict each other.
        """
        from reasonir_agent.evaluation.ranking import FirstStage
        from reasonir_agent.evaluation.retrieval import System

        searched, reranker = self.searched(config), self._reranker(config)
        first, hashes = self._first(config, rewritten=bool(searched.name))
        parts = [
            config.name,
            searched.name and f"rewritten by {searched.name}",
            reranker and f"reranked by {reranker.name}",
        ]
        name = ", ".join(part for part in parts if part)
        hashes |= {"searched": searched.hash} if searched.hash else {}
        hashes |= {"reranker": reranker.hash} if reranker else {}
        shown = {**config.as_json(), "searched_with": searched.name or "the questions"}
        if isinstance(first, FirstStage) and first.dense and first.lexical:
            shown["fusion"] = first.fusion
        shown |= reranker.settings if reranker else {}
        return System(name, first, searched, reranker, shown, hashes)

    def encoder(self, config: SystemConfig) -> ReasonIREncoder:
        """The encoder of a configuration; one that is open already is used again."""
        from reasonir_agent.encoder import ReasonIREncoder

        key = (config.encoder, config.query_instruction, config.document_instruction, config.max_tokens)
        if key not in self._encoders:
            self._encoders[key] = ReasonIREncoder(
                config.encoder,
                query_instruction=config.query_instruction,
                document_instruction=config.document_instruction,
                max_tokens=config.max_tokens,
            )
        return self._encoders[key]

    def _first(self, config: SystemConfig, *, rewritten: bool) -> tuple[FirstStage | StoredRun, dict[str, str]]:
        from reasonir_agent.evaluation.ranking import FirstStage
        from reasonir_agent.evaluation.runs import StoredRun
        from reasonir_agent.evaluation.systems import LEXICAL, Dense, fusion_of
        from reasonir_agent.evaluation.vector_cache import VectorCache

        if config.run is not None:
            return StoredRun(Path(config.run)), {}
        lexical = None if config.lexical is None else LEXICAL[config.lexical]
        if config.encoder is None:
            return FirstStage(None, lexical), {}
        encoder = self.encoder(config)
        dense = Dense(config.name, encoder, VectorCache(self.cache))
        return FirstStage(dense, lexical, fusion_of(config, rewritten=rewritten)), {"encoder": encoder.fingerprint.id}

    def searched(self, config: SystemConfig, *, words: int | None = None) -> Searched:
        """What a system searches with.

        Args:
            config: of the system.
            words: length of a chat model's rewritten queries; None is the setting's.

        Raises:
            InputError: the file of rewritten queries is not there or cannot be read.
        """
        from reasonir_agent.evaluation.rewrites import open_rewrites
        from reasonir_agent.evaluation.searched import ByModel, FromFile, Questions

        name = config.rewrites or self.rewrites
        if config.run is not None:
            return Questions()
        if name is not None:
            if name not in self._files:
                self._files[name] = FromFile(open_rewrites(name))
            return self._files[name]
        if self.choices.llm is None or not self.rewrite:
            return Questions()
        agent = self.choices.agent
        length = agent.rewrite_words if words is None else words
        if length not in self._rewriters:
            chat = self._chat(self.choices.llm)
            self._rewriters[length] = ByModel(chat, self._finished(), length, temperature=agent.temperature)
        return self._rewriters[length]

    def _finished(self) -> Ledger:
        """The one ledger of a command: what a system had made is there for the next."""
        from reasonir_agent.evaluation.ledger import Ledger

        if self._ledger is None:
            self._ledger = self.opened.enter_context(Ledger(self.ledger))
        return self._ledger

    def _reranker(self, config: SystemConfig) -> Reranker | None:
        from reasonir_agent.evaluation.rerankers import StoredScores

        scores = Path(config.rerank_scores) if config.rerank_scores else self.rerank_scores
        if scores is not None and self.rerank is not None:
            raise InputError("give rerank scores (--rerank-scores) or a live reranker (--rerank), not both")
        if scores is not None:
            return StoredScores(scores, weight=config.rerank_weight)
        if self.rerank is not None and self._live is None:
            self._live = self._open_live(self.rerank)
        return self._live

    def _open_live(self, name: str) -> Live:
        from reasonir_agent.evaluation.rerankers import Live
        from reasonir_agent.reranking import rerank_preset

        preset = rerank_preset(name)
        model = self.choices.llm or preset.model
        if model is None:
            raise InputError(f"the rerank preset {preset.name!r} needs a chat model; give --llm provider:model")
        chat = self._chat(model, temperature=preset.temperature, top_p=preset.top_p)
        return Live(chat, preset, self._finished())

    def _chat(self, name: str, *, temperature: float | None = None, top_p: float | None = None) -> ChatModel:
        agent = self.choices.agent
        agent = agent if temperature is None else replace(agent, temperature=temperature)
        chat = replace(self.choices, llm=name, agent=agent).open_chat_model(top_p=top_p)
        assert chat is not None
        return chat


def as_the_product(choices: Choices) -> str:
    """The system that searches as `reasonir search` does."""
    from reasonir_agent.encoder.known import default_encoder

    return f"{choices.encoder_option or choices.encoder_fallback or default_encoder()}+bm25-reasonir"


def configs(systems: Sequence[str] | None, usual: str) -> list[SystemConfig]:
    """The systems of the options; without any, the usual one.

    Raises:
        InputError: one cannot be understood, or two have one name.
    """
    from reasonir_agent.evaluation.systems import parse_system

    found = [parse_system(one) for one in systems or [usual]]
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two systems are called {name!r}; give one of them another name in a .toml file")
    return found
