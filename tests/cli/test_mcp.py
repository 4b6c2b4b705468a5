"""`reasonir mcp` as an assistant starts it: a process of its own, asked over its stdin and stdout by the SDK's client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from reasonir_agent.testing import ScriptedChatServer


def parameters(folder: Path, *words: str, **environment: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "reasonir_agent.cli", "mcp", "--store", str(folder / "store"), *words],
        env={"HF_HUB_OFFLINE": "1", **environment},
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_three_tools_over_a_real_pipe(indexed: Path, tmp_path: Path, mode: str) -> None:
    with (tmp_path / "stderr").open("w") as errors:
        async with Client(stdio_client(parameters(indexed, "-k", "2"), errlog=errors), mode=mode) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["search", "ask", "read_passage"]
            found = await client.call_tool("search", {"question": "Why are the feet of ducks cold?"})
            answer = await client.call_tool("ask", {"question": "Why do ducks keep their feet cold?"})
            assert found.structured_content is not None and answer.structured_content is not None
            hits = found.structured_content["hits"]
            read = await client.call_tool("read_passage", {"id": hits[0]["id"]})
            wrong = await client.call_tool("search", {"question": " "})
    assert len(hits) == 2 and hits[0]["source"].endswith("ducks.txt")
    assert answer.structured_content["citations"] and not answer.structured_content["abstained"]
    assert read.structured_content is not None and read.structured_content["text"] == hits[0]["text"]
    assert wrong.is_error
    assert (tmp_path / "stderr").read_text() == ""


@pytest.mark.slow
async def test_a_model_is_used_and_its_key_goes_nowhere(indexed: Path, tmp_path: Path) -> None:
    with ScriptedChatServer(["nothing that can be read"], api_key="sk-secret-of-mine") as server:
        given = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-secret-of-mine"}
        with (tmp_path / "stderr").open("w") as errors:
            connection = stdio_client(parameters(indexed, "--llm", "openai:any", **given), errlog=errors)
            async with Client(connection) as client:
                answer = await client.call_tool("ask", {"question": "Why do ducks keep their feet cold?"})
        assert server.requests
    assert answer.structured_content is not None and answer.structured_content["usage"]["llm_calls"] > 0
    assert "secret" not in answer.model_dump_json() + (tmp_path / "stderr").read_text()


@pytest.mark.slow
def test_stdout_carries_the_protocol_alone_and_the_end_of_stdin_ends_it(indexed: Path) -> None:
    """Spoken by hand, so that a line of anything else would be seen."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    call = {"name": "search", "arguments": {"question": "ducks"}}
    messages: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    given = parameters(indexed)
    child = subprocess.Popen(
        [given.command, *given.args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        for message in messages:
            child.stdin.write(json.dumps(message) + "\n")
        child.stdin.flush()
        replies = [json.loads(child.stdout.readline()) for _ in range(2)]
        child.stdin.close()
        rest, errors = child.stdout.read(), child.stderr.read()
        assert child.wait(30) == 0
    assert [reply["id"] for reply in replies] == [1, 2]
    assert replies[1]["result"]["structuredContent"]["hits"]
    assert (rest, errors) == ("", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--store", "nowhere"), "error: there is no store at nowhere; make one with: reasonir index PATH"),
        (("--store", "{indexed}/store", "-k", "0"), "error: k must be 1 or more, got 0"),
        (("--store", "{indexed}/store", "--llm", "gpt"), "error: "),
    ],
)
def test_wrong_options_are_told_before_anything_is_served(
    run: Any, indexed: Path, words: tuple[str, ...], said: str
) -> None:
    ran = run("mcp", *(word.format(indexed=indexed) for word in words))
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err and len(ran.err.splitlines()) == 1
