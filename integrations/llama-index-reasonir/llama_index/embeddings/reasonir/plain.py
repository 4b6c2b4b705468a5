"""Only the text is embedded: LlamaIndex writes a node's metadata above its text ("title: ...") unless it is told not to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from llama_index.core.bridge.pydantic import Field
from llama_index.core.schema import BaseNode, TransformComponent

Node = TypeVar("Node", bound=BaseNode)


def plain(nodes: Iterable[Node], *, keep: Sequence[str] = ()) -> list[Node]:
    """Copies of nodes or documents whose metadata is not embedded. The language model is shown it as before.

    Args:
        nodes: nodes, or documents before they are split (their nodes inherit it).
        keep: metadata keys that are to be embedded all the same, for example ["title"].
    """
    return [_plain(node, keep) for node in nodes]


def _plain(node: Node, keep: Sequence[str]) -> Node:
    excluded = [key for key in node.metadata if key not in keep]
    return node.model_copy(update={"excluded_embed_metadata_keys": excluded})


class PlainText(TransformComponent):
    """`plain` as a transformation; it stands just before the embedding model, after what adds metadata.

    Example:
        >>> IngestionPipeline(transformations=[SentenceSplitter(), PlainText(), embedding])    # doctest: +SKIP
    """

    keep: list[str] = Field(default_factory=list, description="Metadata keys that are embedded all the same.")

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "ReasonIRPlainText"

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Copies of the nodes whose metadata is not embedded."""
        return plain(nodes, keep=self.keep)
