"""The endpoints `compress` and `decompress`: over `gradio_client` and plain HTTP, and what they say to mistakes; how
the app starts."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio")

from gradio_client import Client
from gradio_client.exceptions import AppError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from metatok import demo
from metatok.codec import METHODS, Codec
from metatok.compute import PRESETS
from metatok.demo import run as runs
from metatok.demo.asking import Answers
from metatok.demo.cards import message_html, summary_html
from metatok.demo.comparison import RowDict
from metatok.demo.endpoints import Compression, Decompression
from metatok.demo.examples import examples
from metatok.demo.run import Refused
from metatok.summary import summarize
from metatok.tokenizer import MetaTokenizer
from tests.browser.serve import App, environment, serving

ROOT = Path(__file__).parents[1]
TEXT = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))


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


def expected(**options: Any) -> dict[str, Any]:
    tokenizer = MetaTokenizer.from_pretrained(options.pop("tokenizer", "mistral:tekken"), **options)
    return {**summarize(tokenizer, TEXT), "ids": None}


def post(app: App, path: str, body: Any) -> tuple[str, Any]:
    """The event and the data that one call over plain HTTP ends with."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(
        f"{app.url}/gradio_api/call/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    event = json.load(opener.open(request, timeout=30))["event_id"]
    answer = opener.open(f"{app.url}/gradio_api/call/{path.rsplit('/')[-1]}/{event}", timeout=60).read().decode()
    kind, data = (line.split(": ", 1)[1] for line in answer.strip().splitlines()[-2:])
    return kind, json.loads(data)


# ---- What programs get


def test_the_client_gets_the_summary(client: Client) -> None:
    answer = client.predict(TEXT, "mistral:tekken", "inline", 512, api_name="/compress")
    assert answer == expected(meta_tokens=512, method="inline")
    assert answer["exact"] is True
    assert answer["compressed_tokens"] < answer["original_tokens"]


def test_everything_but_the_text_has_a_default(client: Client, app: App) -> None:
    assert client.predict(TEXT, api_name="/compress") == expected()
    assert post(app, "compress", {"data": [TEXT]}) == ("complete", [expected()])
    assert post(app, "v2/compress", {"text": TEXT}) == ("complete", [expected()])


@pytest.mark.parametrize("method", ["ltsc", "flat", "nested", "inline"])
def test_null_takes_as_many_as_pay(client: Client, app: App, method: Any) -> None:
    wanted = expected(tokenizer="mistral:v3", method=method, meta_tokens=None)
    assert client.predict(TEXT, "mistral:v3", method, None, api_name="/compress") == {**wanted, "ids": None}
    assert post(app, "compress", {"data": [TEXT, "mistral:v3", method, None]}) == ("complete", [wanted])


def test_parts_stay_raw(client: Client) -> None:
    tokenizer = MetaTokenizer.from_pretrained("mistral:tekken")
    wanted = summarize(tokenizer, TEXT, tokenizer.compress(TEXT, keep=[(0, 500), (900, 950)]))
    assert client.predict(TEXT, keep=[[0, 500], [900, 950]], api_name="/compress") == {**wanted, "ids": None}
    assert wanted["compressed_tokens"] > expected()["compressed_tokens"]


def test_an_empty_text_is_no_mistake_for_a_program(client: Client) -> None:
    answer = client.predict("", api_name="/compress")
    assert (answer["original_tokens"], answer["compressed_tokens"], answer["phrases"]) == (0, 0, [])


def test_endpoints_are_typed_and_documented(client: Client, app: App) -> None:
    info = client.view_api(return_format="dict", print_info=False)
    assert sorted(info["named_endpoints"]) == ["/ask", "/compare", "/compress", "/decompress"]
    assert not info["unnamed_endpoints"]
    wanted = {
        "/ask": (["text", "question", "method", "lossy"], Answers),
        "/compare": (["text", "tokenizer", "methods", "efforts", "meta_tokens"], RowDict),
        "/compress": (["text", "tokenizer", "method", "meta_tokens", "keep", "ids"], Compression),
        "/decompress": (["ids", "tokenizer", "method", "meta_tokens", "max_length"], Decompression),
    }
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    described = json.load(opener.open(f"{app.url}/gradio_api/info"))["named_endpoints"]
    for name, (parameters, returned) in wanted.items():
        endpoint = info["named_endpoints"][name]
        assert [p["parameter_name"] for p in endpoint["parameters"]] == parameters
        schema = endpoint["returns"][0]["type"]
        assert schema.get("items", schema)["properties"].keys() == returned.__annotations__.keys()
        assert any(limit in described[name]["description"] for limit in ("5 MB", "500,000 characters"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pool", [64, None])
def test_ids_come_back_as_the_text(client: Client, app: App, method: Any, pool: int | None) -> None:
    settings = ["mistral:v3", method, pool]
    answer = client.predict(TEXT, *settings, ids=True, api_name="/compress")
    tokenizer = MetaTokenizer.from_pretrained("mistral:v3", method=method, meta_tokens=pool)
    assert answer["ids"] == tokenizer.compress(TEXT).ids.tolist()
    assert len(answer["ids"]) == answer["compressed_tokens"]
    back = client.predict(answer["ids"], *settings, api_name="/decompress")
    assert back == {
        "text": TEXT,
        "compressed_tokens": len(answer["ids"]),
        "original_tokens": answer["original_tokens"],
        "tokenizer": "mistral:v3",
        "method": method,
        "meta_tokens": pool,
    }
    assert post(app, "decompress", {"data": [answer["ids"], *settings]}) == ("complete", [back])


FIRST = Codec(131_072, None).first_meta  # m0 of mistral:tekken; in front of it the marks of a dictionary

SPACES = 32_457  # 64 spaces


def bomb(levels: int, token: int) -> list[int]:
    """A dictionary each of whose phrases is the one before twice: `2 ** levels` tokens."""
    phrases = [id for k in range(1, levels) for id in (FIRST + k, FIRST + k - 1, FIRST + k - 1)]
    return [FIRST - 2, FIRST, token, token, *phrases, FIRST - 1, FIRST + levels - 1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["5"], "must be a list of whole numbers"),
        ([None], "must be a list of whole numbers"),
        ([[1, 2.5]], "the one at position 1 is a float"),
        ([[1, True]], "the one at position 1 is a bool"),
        ([[1, [2]]], "the one at position 1 is a list"),
        ([[1, -1]], "id -1 is not in the vocabulary"),
        ([[10**30]], "is not in the vocabulary"),
        ([[FIRST, 5]], "runs past the end"),
        ([[5], "no-such/tokenizer"], "no-such/tokenizer"),
        ([[5], "mistral:tekken", "zip"], "There is no method 'zip'"),
        ([[5, 6], "mistral:tekken", "inline", 512, 1], "max_length = 1 tokens"),
        ([[5], "mistral:tekken", "inline", 512, 10**9], "from 0 to 5,000,000"),
        ([bomb(60, 5), "mistral:tekken", "nested"], "more than max_length = 5,000,000 tokens"),
        ([bomb(21, SPACES), "mistral:tekken", "nested"], "134.2 MB, and 5 MB is the most made here"),
    ],
)
def test_decompress_refuses_with_a_sentence(client: Client, app: App, arguments: list[Any], sentence: str) -> None:
    kind, data = post(app, "decompress", {"data": arguments})
    assert kind == "error"
    assert sentence in data["error"]
    assert data["error"].endswith(".")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([TEXT, "no-such/tokenizer"], "no-such/tokenizer"),
        ([TEXT, "mistral:v99"], "There is no tokenizer mistral:v99"),
        ([TEXT, ""], "Choose a tokenizer"),
        ([TEXT, "mistral:tekken", "zip"], "There is no method 'zip'"),
        ([TEXT, "mistral:tekken", "inline", -1], "from 0 to 1,000,000"),
        ([TEXT, "mistral:tekken", "inline", "many"], "must be a whole number"),
        ([TEXT, "mistral:tekken", "inline", True], "must be a whole number"),
        ([5], "must be a string"),
        ([None], "must be a string"),
        (["changelog " * 510_000], "5.1 MB"),
        ([TEXT, "mistral:v3", "inline", 8, [[5, 1]]], "is not inside the text"),
        ([TEXT, "mistral:v3", "inline", 8, "all"], "must be a list"),
    ],
)
def test_mistakes_get_a_sentence(client: Client, app: App, arguments: list[Any], sentence: str) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(*arguments, api_name="/compress")
    kind, data = post(app, "compress", {"data": arguments})
    assert kind == "error"
    assert sentence in data["error"]
    assert data["error"].endswith(".")


def test_hostile_text_comes_back_as_it_went(client: Client) -> None:
    text = "<img src=x onerror=alert(1)> ${1+1} {{value}} `x` </script> \u202e \x00 🦜\r\n" * 3
    answer = client.predict(text, api_name="/compress")
    assert answer == {**summarize(MetaTokenizer.from_pretrained("mistral:tekken"), text), "ids": None}


# ---- The same function, without a server


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(Refused, match=r"^The text has a lone surrogate .*\.$"):
        runs.run("a\ud800b", "mistral:tekken", "inline", 512)


def test_folders_are_refused_on_a_shared_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"tokenizer\.json"):
        runs.run("a", str(tmp_path), "inline", 512)
    monkeypatch.setenv("SPACE_ID", "somebody/something")
    for name in (str(tmp_path), "../elsewhere", "~/models", ".", "tests"):
        with pytest.raises(Refused, match="folders work on your own machine"):
            runs.run("a", name, "inline", 512)
    for name in ("a" * 300, "a\0b"):  # no folder can have such a name
        with pytest.raises(Refused, match="tokenizer"):
            runs.run("a", name, "inline", 512)
    assert runs.run("a", "mistral:v3", "inline", 512).summary["original_tokens"] == 1


def test_text_that_only_decoding_measures_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of 500 bytes, 40,000 of which are 20 MB, of a tokenizer without a table of its tokens' bytes."""
    word = Tokenizer(models.WordLevel({"<unk>": 0, "a" * 500: 1}, unk_token="<unk>"))
    word.pre_tokenizer, word.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    PreTrainedTokenizerFast(tokenizer_object=word).save_pretrained(tmp_path)
    assert MetaTokenizer.from_pretrained(tmp_path).text_size([1]) is None
    tok, text, count = runs.restore([1, 1, 1], str(tmp_path), "inline", 512)
    assert (tok.vocab_size, text, count) == (2, " ".join(["a" * 500] * 3), 3)
    decoded, decode = [], MetaTokenizer.decode

    def counted(self: MetaTokenizer, ids: Any) -> str:
        decoded.append(len(ids))
        return decode(self, ids)

    monkeypatch.setattr(MetaTokenizer, "decode", counted)
    with pytest.raises(Refused, match=r"^The text of these ids has 5\.0 MB, and 5 MB is the most made here\.$"):
        runs.restore([1] * 40_000, str(tmp_path), "inline", 512)
    assert decoded == [10_000]


def test_bytes_that_are_no_text_are_bounded_by_what_they_become() -> None:
    """2,000,000 tokens of one byte each, of which each becomes a U+FFFD, three bytes."""
    tok = MetaTokenizer.from_pretrained("mistral:tekken")
    byte = next(i for i in range(tok.vocab_size) if tok.decode([i]) == "\ufffd" and tok.text_size([i]) == 1)
    ids = tok.using(meta_tokens=512).codec.compress(np.full(2_000_000, byte)).ids.tolist()
    with pytest.raises(Refused, match=r"^The text of these ids has 6\.0 MB, and 5 MB is the most made here\.$"):
        runs.restore(ids, "mistral:tekken", "inline", 512)


def test_the_longest_text_is_measured_in_bytes() -> None:
    assert runs.run("x" * 10, "mistral:v3", "inline", 512)
    with pytest.raises(Refused, match=r"6\.0 MB"):
        runs.run("é" * 3_000_000, "mistral:v3", "inline", 512)


def test_the_numbers_say_when_nothing_was_gained_or_the_tokenizer_is_not_exact() -> None:
    model = PRESETS["Llama-3.1-8B"]
    summary = summarize(MetaTokenizer.from_pretrained("mistral:v3"), "Nothing here comes twice.")
    assert "stays as it is" in summary_html(summary, model)
    assert "does not give this text back" not in summary_html(summary, model)
    changed = {**summary, "round_trip_text": False, "change": "At character 0 the text has '<b>' ${1+1}."}
    shown = summary_html(changed, model)
    assert "does not give this text back" in shown
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert "not exact" in summary_html({**summary, "exact": False}, model)
    assert "<img" not in message_html("<img src=x>")


def test_examples() -> None:
    found = examples(ROOT / "assets" / "examples")
    assert len(found) >= 7
    assert all(example.text and example.title and example.about for example in found)
    assert len({example.title for example in found}) == len(found)
    assert examples(ROOT / "no such folder") == []


# ---- Starting


def start(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *(arguments or ["app.py"])],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("given", [False, True], ids=["in the environment", "on the command line"])
def test_a_taken_port_gets_a_sentence(given: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        if given:
            ended = start("-m", "metatok", "demo", "--port", str(port), GRADIO_SERVER_PORT="7999")
        else:
            ended = start(GRADIO_SERVER_PORT=str(port))
    how = "metatok: Port {} is taken; choose" if given else "Port {} is taken; set GRADIO_SERVER_PORT to"
    assert (ended.returncode, ended.stderr.strip()) == (1, f"{how.format(port)} a free one, for example {port + 1}.")


@pytest.mark.parametrize("port", ["seventy", "0", "70000", "-1"])
def test_what_is_no_port_gets_a_sentence(port: str) -> None:
    ended = start(GRADIO_SERVER_PORT=port)
    assert ended.returncode == 1
    assert ended.stderr.strip() == (f"GRADIO_SERVER_PORT is {port!r}, which is not a port; ports are 1 to 65535.")


def test_an_address_of_another_machine_gets_a_sentence() -> None:
    ended = start(GRADIO_SERVER_NAME="192.0.2.1", GRADIO_SERVER_PORT="7999")
    assert ended.returncode == 1
    assert ended.stderr.strip().startswith("Port 7999 is taken, or 192.0.2.1 is no address of this machine; ")


def test_a_space_arranges_the_port_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_SERVER_PORT", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert demo._port_from_environment() == 7860
    monkeypatch.setenv("SPACE_ID", "somebody/something")
    assert demo._port_from_environment() is None
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7999")
    assert demo._port_from_environment() == 7999


def test_the_package_loads_no_gradio() -> None:
    code = "import sys, metatok.demo; assert not {'gradio', 'plotly', 'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
