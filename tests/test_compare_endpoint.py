"""The endpoint `compare`: what `gradio_client` and plain HTTP get, and what it says to mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("gradio")

from gradio_client import Client
from gradio_client.exceptions import AppError

from metatok.summary import summarize
from metatok.tokenizer import MetaTokenizer
from tests.browser.serve import App, serving

TEXT = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))
FIELDS = {
    "method": str,
    "effort": str,
    "meta_tokens": int,
    "original_tokens": int,
    "compressed_tokens": int,
    "saving": float,
    "seconds": float,
    "runs": int,
    "exact": bool,
    "bound": int,
    "note": str,
}


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with serving() as running:
        yield running
        log = running.log.read_text()
        assert "Traceback" not in log
        assert "changelog" not in log, "a user's text is in the log"


@pytest.fixture(scope="module")
def client(app: App) -> Iterator[Client]:
    connected = Client(app.url, verbose=False)
    yield connected
    connected.close()


def test_rows_by_default(client: Client) -> None:
    rows = client.predict(TEXT, api_name="/compare")
    efforts = ["fast"] * 3 + ["default"] * 3 + ["max"] * 3
    assert [row["effort"] for row in rows if row["method"] != "ltsc"] == efforts
    assert [row["method"] for row in rows if row["effort"] == "max"] == ["flat", "nested", "inline"]
    assert [row["effort"] for row in rows if row["method"] == "ltsc"] == ["default"]
    for row in rows:
        assert {name: type(value) for name, value in row.items()} == FIELDS
        assert row["exact"]
        assert row["bound"] <= row["compressed_tokens"] < row["original_tokens"]


def test_the_numbers_are_those_of_compress(client: Client) -> None:
    (row,) = client.predict(TEXT, "mistral:v3", ["nested"], ["default"], [None], api_name="/compare")
    summary = summarize(MetaTokenizer.from_pretrained("mistral:v3", method="nested", meta_tokens=None), TEXT)
    for name in ("method", "meta_tokens", "original_tokens", "compressed_tokens", "saving", "bound", "exact"):
        assert row[name] == summary[name]


def test_it_is_described(client: Client) -> None:
    endpoint = client.view_api(return_format="dict", print_info=False)["named_endpoints"]["/compare"]
    parameters = {p["parameter_name"]: p["type"] for p in endpoint["parameters"]}
    assert list(parameters) == ["text", "tokenizer", "methods", "efforts", "meta_tokens"]
    assert parameters["methods"]["items"] == {"enum": ["ltsc", "flat", "nested", "inline"]}
    assert "times in seconds" in endpoint["description"]
    assert endpoint["returns"][0]["type"]["type"] == "array"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([5], "The text must be a string"),
        ([TEXT, "mistral:v99"], "There is no tokenizer mistral:v99"),
        ([TEXT, "mistral:v3", ["zip"]], "There is no method 'zip'"),
        ([TEXT, "mistral:v3", "inline"], "The methods must be a list"),
        ([TEXT, "mistral:v3", ["inline"], ["most"]], "There is no effort 'most'"),
        ([TEXT, "mistral:v3", ["inline"], ["fast"], [-1]], "from 0 to 1,000,000"),
        ([TEXT, "mistral:v3", ["inline"], ["fast"], list(range(20))], "Choose one pool size at least and 8 at most"),
        (["changelog " * 510_000], "5.1 MB"),
    ],
)
def test_mistakes_get_a_sentence(client: Client, arguments: list[Any], sentence: str) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(*arguments, api_name="/compare")
