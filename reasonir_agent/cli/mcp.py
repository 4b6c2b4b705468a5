"""`reasonir mcp`: the corpus as tools for an assistant, over stdin and stdout."""

from __future__ import annotations

from reasonir_agent.cli.options import EncoderOption, KOption, LlmOption, StoreOption
from reasonir_agent.cli.settings import choose


def mcp(store: StoreOption = None, encoder: EncoderOption = None, llm: LlmOption = None, k: KOption = None) -> None:
    """Serve search, ask and read_passage to an assistant over stdin and stdout (Model Context Protocol).

    The assistant starts this command itself; its settings name it:
    {"mcpServers": {"reasonir": {"command": "reasonir", "args": ["mcp", "--store", "/path/to/store"]}}}
    """
    from reasonir_agent.server.mcp import build_mcp

    choices = choose(store=store, encoder=encoder, llm=llm, k=k)
    with choices.open_corpus() as corpus:
        build_mcp(corpus, choices.open_chat_model(), choices.agent).run("stdio")
