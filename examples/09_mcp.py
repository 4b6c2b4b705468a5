"""The corpus as tools of an assistant: start `reasonir mcp` as an assistant does, and call its three tools.

    python examples/09_mcp.py

A desktop assistant needs the same command in its settings, and no script:

    {"mcpServers": {"reasonir": {"command": "reasonir", "args": ["mcp", "--store", "/path/to/store"]}}}
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

CORPUS = Path(__file__).parent / "corpus"
REASONIR = [sys.executable, "-m", "reasonir_agent.cli"]  # the same as `reasonir`, wherever this Python is installed
QUESTION = "How can drilling a hole at the end of a crack stop it from growing?"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's structured result; its error is one sentence."""
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        raise SystemExit(f"{tool}: {result.content[0]}")
    return result.structured_content


async def use(store: Path) -> None:
    command, *words = [*REASONIR, "mcp", "--store", str(store), "-k", "3"]
    async with Client(stdio_client(StdioServerParameters(command=command, args=words))) as client:
        tools = (await client.list_tools()).tools
        print("tools:", ", ".join(tool.name for tool in tools))

        found = await call(client, "search", question=QUESTION)
        for hit in found["hits"]:
            print(f"  {hit['final_score']:.3f}  {Path(hit['source']).name}:{hit['start']}-{hit['end']}")

        answer = await call(client, "ask", question=QUESTION)
        print(answer["answer"])
        for one in answer["citations"]:
            print(f"  [{one['n']}] {Path(one['source']).name}:{one['start']}-{one['end']} “{one['quote']}”")

        read = await call(client, "read_passage", id=found["hits"][0]["id"], around=200)
        whole = read["before"] + read["text"] + read["after"]
        print(
            f"read_passage: {len(read['text'])} characters of {Path(read['source']).name}, {len(whole)} with what is around"
        )

        wrong = await client.call_tool("search", {"question": QUESTION, "where": ["colour=red"]})
        print("a wrong filter:", wrong.content[0].text if wrong.is_error else "accepted")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        files = map(str, sorted(CORPUS.glob("[l-s]*.md")))  # some of them, to be quick
        subprocess.run([*REASONIR, "index", *files, "--store", str(store), "--encoder", "minilm"], check=True)
        asyncio.run(use(store))


if __name__ == "__main__":
    main()
