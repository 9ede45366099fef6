"""Links: what `state` makes of the part behind the `#`, which anybody can write."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("gradio")

from metatok.demo.examples import examples
from metatok.demo.run import MAX_BYTES, Refused
from metatok.demo.share import State, state

TABS = ["explore", "ask"]
EXAMPLES = examples()


def read(**asked: Any) -> State:
    return state(urlencode(asked), TABS, EXAMPLES)


def test_everything_comes_back() -> None:
    text = "<img src=x onerror=alert(1)> ${1+1} {{value}} `x` \u202e \x00 🦜 a+b & c=d #\r\n"
    found = read(tab="ask", text=text, tokenizer="mistral:v3", method="ltsc", pool="64", model="SmolLM2-135M")
    assert found == State("ask", text, "", "mistral:v3", "ltsc", 64, "SmolLM2-135M")
    assert read(text=text, keep="0-4.6-20") == State(text=text, about="", keep="[[0, 4], [6, 20]]")
    assert read(pool="all").pool == "as many as pay"
    assert read(tokenizer="Qwen/Qwen3-8B").tokenizer == "Qwen/Qwen3-8B"


def test_an_example_brings_its_line() -> None:
    found = read(example=EXAMPLES[2].path.stem)
    assert found.text == EXAMPLES[2].text
    assert found.about is not None
    assert EXAMPLES[2].about in found.about
    assert read(example=EXAMPLES[2].path.stem, text="mine").text == "mine"


def test_nothing_asked_is_nothing_changed() -> None:
    assert state("", TABS, EXAMPLES) == state("anything", TABS, EXAMPLES) == read(utm_source="x") == State()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"method": "zip"}, "There is no method 'zip'; there are ltsc"),
        ({"method": "<img src=x onerror=alert(1)>"}, "There is no method '<img"),
        ({"tab": "admin"}, "There is no tab 'admin'; there are explore, ask"),
        ({"example": "../../pyproject"}, "There is no example '../../pyproject'"),
        ({"pool": "1e9"}, "There is no pool '1e9'"),
        ({"pool": "-1"}, "There is no pool '-1'"),
        ({"model": "__class__"}, "There is no model '__class__'"),
        ({"keep": "0-1"}, "are no parts of a text"),
        ({"text": "spam", "keep": "<b>"}, "'<b>', are no parts of a text"),
        ({"text": "spam", "keep": "0-1.."}, "are no parts of a text"),
        ({"text": "spam", "keep": "-1-2"}, "are no parts of a text"),
        ({"text": "spam", "keep": "0-9"}, "lies beyond its end"),
        ({"text": "spam", "keep": "3-1"}, "lies beyond its end"),
        ({"tokenizer": ""}, "Choose a tokenizer"),
        ({"method": ""}, "There is no method ''"),
        ({"tokenizer": "/etc"}, "a folder is chosen by hand"),
        ({"tokenizer": "../../etc/passwd"}, "a folder is chosen by hand"),
        ({"tokenizer": " ~/models"}, "a folder is chosen by hand"),
        ({"tokenizer": "tests"}, "a folder is chosen by hand"),
        ({"tokenizer": "a\0b"}, "no tokenizer that a link can ask for"),
        ({"tokenizer": "a" * 300}, "no tokenizer that a link can ask for"),
        ({"text": "x" * (MAX_BYTES + 1)}, "more than the 5 MB"),
    ],
)
def test_a_wrong_value_gets_a_sentence(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        read(**asked)
    assert sentence in str(refused.value)
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "fragment", ["text=%ff%fe", "&".join(f"k{i}=1" for i in range(2000)), "x" * 20_000_000, "text=\ud800", None, 5]
)
def test_what_is_no_link_gets_a_sentence(fragment: Any) -> None:
    with pytest.raises(Refused, match=r"^This link is (damaged|too long).*\.$"):
        state(fragment, TABS, EXAMPLES)
