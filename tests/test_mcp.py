"""The app as an MCP server: its tools are listed and called by a client, and without the extra it starts silently."""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("gradio")
pytest.importorskip("mcp", reason="the extra metatok[mcp] is not installed")

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from metatok.summary import summarize
from metatok.tokenizer import MetaTokenizer
from tests.browser.serve import ROOT, App, environment, free_port, serving

TEXT = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with serving() as running:
        yield running
        assert "Traceback" not in running.log.read_text()


def talk(app: App, *calls: tuple[str, dict[str, Any]]) -> tuple[dict[str, Any], list[Any]]:
    """The tools by name, and what each call came to."""

    async def session() -> tuple[dict[str, Any], list[Any]]:
        async with (
            streamable_http_client(f"{app.url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as client,
        ):
            await client.initialize()
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            return tools, [await client.call_tool(name, arguments) for name, arguments in calls]

    with ThreadPoolExecutor(1) as thread:  # in this one Playwright's loop runs once a browser was opened
        return thread.submit(asyncio.run, session()).result()


def test_tools_are_listed_and_called(app: App) -> None:
    asked = {"text": TEXT, "tokenizer": "mistral:v3", "method": "nested", "meta_tokens": 64, "ids": True}
    tools, (compressed, refused) = talk(app, ("compress", asked), ("compress", {"text": TEXT, "tokenizer": "../.."}))
    assert set(tools) == {"ask", "compare", "compress", "decompress"}
    for name, tool in tools.items():
        assert len(tool.description) > 100, name
        assert "at most" in tool.description + json.dumps(tool.inputSchema), name
        undescribed = [key for key, value in tool.inputSchema["properties"].items() if not value.get("description")]
        assert not undescribed, (name, undescribed)
    assert tools["compress"].inputSchema["required"] == ["text"]
    answer = ast.literal_eval(compressed.content[0].text)  # Gradio writes a result as Python does
    tokenizer = MetaTokenizer.from_pretrained("mistral:v3", method="nested", meta_tokens=64)
    ids = tokenizer.compress(TEXT).ids.tolist()
    assert answer == {**summarize(tokenizer, TEXT), "ids": ids}
    assert refused.isError
    assert refused.content[0].text.endswith(".")
    assert "Traceback" not in refused.content[0].text

    _, (back,) = talk(app, ("decompress", {**{k: asked[k] for k in asked.keys() - {"text", "ids"}}, "ids": ids}))
    assert ast.literal_eval(back.content[0].text)["text"] == TEXT


def test_without_the_extra_the_app_starts_silently() -> None:
    code = """if 1:
        import sys, warnings
        warnings.simplefilter("error", UserWarning)
        sys.modules["mcp"] = None  # what the import system has for a module that is not there
        from metatok import demo
        app, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
        import urllib.error, urllib.request
        open_ = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        assert open_(url).status == 200
        try:
            open_(url + "gradio_api/mcp/schema")
        except urllib.error.HTTPError as error:
            assert error.code == 404
        else:
            raise AssertionError("there is an MCP server")
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(GRADIO_SERVER_PORT=str(free_port())),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
