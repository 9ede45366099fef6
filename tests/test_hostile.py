"""What a hostile request may try against the running app: files that are not offered, bombs, names that are paths.

Hostile text in the page is for tests/browser/test_manners.py, archives for test_uploads.py, `.mtk` files for
test_container.py and test_cli.py.
"""

from __future__ import annotations

import ast
import json
import random
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.serve import ROOT, App, serving

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATHS = (
    "/etc/passwd",
    "../../../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "file:///etc/passwd",
    str(ROOT / "pyproject.toml"),
    "pyproject.toml",
    "app.py",
    ".git/config",
    "/proc/self/environ",
)
EVIL = "<img src=x onerror=alert(1)>${1+1}{{value}}"


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with serving() as running:
        yield running
        log = running.log.read_text()
        assert "Traceback" not in log, log


def call(app: App, name: str, data: list[Any]) -> tuple[str, Any]:
    """The event and the data that a call over plain HTTP ends with."""
    request = urllib.request.Request(
        f"{app.url}/gradio_api/call/{name}", json.dumps({"data": data}).encode(), {"Content-Type": "application/json"}
    )
    event = json.load(OPENER.open(request, timeout=60))["event_id"]
    answer = OPENER.open(f"{app.url}/gradio_api/call/{name}/{event}", timeout=120).read().decode()
    kind, value = (line.split(": ", 1)[1] for line in answer.strip().splitlines()[-2:])
    return kind, json.loads(value)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("route", ["file=", "file/", "proxy=", "stream/"])
def test_no_file_but_what_is_offered(app: App, path: str, route: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        OPENER.open(f"{app.url}/gradio_api/{route}{path}", timeout=30)
    assert 400 <= refused.value.code < 500
    body = refused.value.read()
    assert b"root:" not in body
    assert b"[project]" not in body


@pytest.mark.parametrize(
    "name", ["../../etc", "/etc", "~/x", "a/../../b", "a/b/c", "https://x/y", "-rf", "a\0b", "", EVIL]
)
@pytest.mark.parametrize("endpoint", ["compress", "decompress", "compare"])
def test_names_of_tokenizers_that_are_paths_get_a_sentence(app: App, endpoint: str, name: str) -> None:
    first: Any = [1, 2, 3] if endpoint == "decompress" else "spam and eggs"
    kind, data = call(app, endpoint, [first, name])
    assert kind == "error"
    assert data["error"].endswith(".")
    assert data["error"].count("\n") == 0


@pytest.mark.parametrize(
    ("endpoint", "data"),
    [
        ("compress", ["a\ud800b"]),
        ("compare", ["a\ud800b"]),
        ("compress", [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]),
        ("compress", ["spam", "mistral:tekken", EVIL]),
        ("compress", ["spam", "mistral:tekken", "inline", 512, [[0, 10**30]]]),
        ("compress", ["spam", "mistral:tekken", "inline", 512, None, "yes"]),
        ("decompress", [EVIL]),
        ("decompress", [[1], "mistral:tekken", "inline", 10**30]),
        ("ask", ["spam", EVIL * 20_000]),
        ("ask", ["spam", "parent of spam", EVIL]),
        ("compare", ["spam", "mistral:tekken", [EVIL]]),
        ("compare", ["spam", "mistral:tekken", "inline"]),
    ],
)
def test_wrong_values_get_a_sentence(app: App, endpoint: str, data: list[Any]) -> None:
    kind, answer = call(app, endpoint, data)
    assert kind == "error"
    assert answer["error"].endswith(".")
    assert len(answer["error"]) < 600


def test_hard_texts_come_back(app: App) -> None:
    for text in ("x" * 4_999_999, "👩‍👩‍👧‍👦" * 100_000, "\u202e\x00<|m12|> <|dict|>\r\n" * 1000):
        kind, (compressed,) = call(app, "compress", [text, "mistral:tekken", "inline", 512, None, True])
        assert kind == "complete"
        kind, (back,) = call(app, "decompress", [compressed["ids"], "mistral:tekken", "inline", 512])
        assert (kind, back["text"] == text) == ("complete", True)


def test_a_text_twice_is_described_in_some_times_its_length(app: App) -> None:
    """Its one phrase is written with hundreds of meta-tokens, each of which stands for a part of it."""
    text = random.Random(0).randbytes(300_000).hex() * 2
    kind, (compressed,) = call(app, "compress", [text, "mistral:tekken", "inline", None])
    assert kind == "complete"
    lengths = [len(phrase["text"]) for phrase in compressed["phrases"]]
    assert len(lengths) > 500
    assert sum(lengths) < 6 * len(text)


SOURCES = [*sorted((ROOT / "metatok").rglob("*.py")), ROOT / "app.py"]
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def unsafe(tree: ast.AST) -> Iterator[str]:
    """What in a source may run code that came with data: repositories' own code, pickles, `eval`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {name.name}" for name in node.names if name.name.split(".")[0] in PICKLES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLES:
            yield f"from {node.module}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if given.get("trust_remote_code", "False") != "False" or given.get("allow_pickle", "False") != "False":
                yield ast.unparse(node)
            if called in ("torch.load", "load_state_dict_from_url") and given.get("weights_only") != "True":
                yield ast.unparse(node)
            if called in ("eval", "exec", "pd.read_pickle", "pandas.read_pickle"):
                yield ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_that_comes_with_data_is_run(path: Path) -> None:
    assert list(unsafe(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_the_check_above_sees_what_it_looks_for() -> None:
    for line in (
        "import pickle",
        "from joblib import load",
        "AutoTokenizer.from_pretrained(a, trust_remote_code=True)",
        "f(trust_remote_code=flag)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
    ):
        assert list(unsafe(ast.parse(line))), line
    assert not list(unsafe(ast.parse("torch.load(p, weights_only=True); f(trust_remote_code=False)")))
