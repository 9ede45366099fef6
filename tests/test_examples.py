"""The example texts: each is what it says, can be made again to the byte, and none flatters the codec."""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from metatok.tokenizer import MetaTokenizer

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "assets" / "examples"
SCRIPT = ROOT / "scripts" / "make_examples.py"
INDEX: list[dict[str, str]] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
FILES = [entry["file"] for entry in INDEX]


def _text(name: str) -> str:
    return (FOLDER / name).read_bytes().decode("utf-8")


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("make_examples", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_index_lists_every_text_once() -> None:
    assert len(FILES) >= 7
    assert len(set(FILES)) == len(FILES)
    about_the_folder = {"index.json", "README.md", ".gitattributes"}
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} - about_the_folder == set(FILES)
    for entry in INDEX:
        assert set(entry) == {"file", "title", "about"}
        assert 3 <= len(entry["title"]) <= 24
        assert 20 <= len(entry["about"]) <= 100
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in readme for name in FILES)


@pytest.mark.parametrize("name", FILES)
def test_texts_are_clean(name: str) -> None:
    text = _text(name)
    assert text.endswith("\n")
    assert "\r" not in text
    assert "\t" not in text
    assert "\x00" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())


# Made again -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", _script().GENERATED)
def test_generated_texts_come_out_the_same(name: str) -> None:
    build: Callable[[], str] = _script().GENERATED[name]
    assert build().encode("utf-8") == (FOLDER / name).read_bytes()
    assert build() == build()


def test_generating_depends_on_no_setting_of_the_machine(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Pacific/Apia", "LC_ALL": "C"}
    command = [sys.executable, str(SCRIPT), "--check"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_check_notices_a_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = _script()
    script.FOLDER = tmp_path
    assert script.main([]) == 0
    assert len(list(tmp_path.iterdir())) == len(script.GENERATED)
    assert script.main(["--check"]) == 0
    log = tmp_path / "server.log"
    log.write_bytes(log.read_bytes().replace(b"\n", b"\r\n"))
    capsys.readouterr()
    assert script.main(["--check"]) == 1
    assert capsys.readouterr().out == "server.log: differs\n"


# What they say they are -------------------------------------------------------------------------------------


def test_listing_is_what_ls_prints() -> None:
    blocks = _text("listing.txt").removeprefix("$ ls -lR\n").rstrip("\n").split("\n\n")
    folders: dict[str, list[list[str]]] = {}
    for block in blocks:
        head, total, *lines = block.splitlines()
        entries = [line.split() for line in lines]
        folders[head.rstrip(":")] = entries
        assert all(len(entry) == 9 for entry in entries), head
        assert total == f"total {sum(-(-int(entry[4]) // 4096) * 4 for entry in entries)}"
    for path, entries in folders.items():
        below = [name for name in folders if name.rpartition("/")[0] == path]
        assert {f"{path}/{entry[8]}" for entry in entries if entry[0][0] == "d"} == set(below)
        for entry in entries:
            if entry[0][0] == "d":  # a link to itself, one from above, one from each folder in it
                inner = [name for name in folders if name.rpartition("/")[0] == f"{path}/{entry[8]}"]
                assert int(entry[1]) == 2 + len(inner)


def test_api_response_is_consistent() -> None:
    page = json.loads(_text("api.json"))
    assert len(page["data"]) == page["meta"]["per_page"]
    assert page["meta"]["total_pages"] == -(-page["meta"]["total"] // page["meta"]["per_page"])
    assert len({shipment["id"] for shipment in page["data"]}) == len(page["data"])
    for shipment in page["data"]:
        events = shipment["events"]
        assert shipment["status"] == events[-1]["type"]
        assert [event["occurred_at"] for event in events] == sorted(e["occurred_at"] for e in events)
        assert (shipment["delivered_at"] is not None) == (shipment["status"] == "delivered")


def test_log_joins_its_two_kinds_of_line() -> None:
    text = _text("server.log")
    requests = re.findall(r" req=([0-9a-f]{16})", text)
    answers = re.findall(r" rid=([0-9a-f]{16})$", text, flags=re.MULTILINE)
    assert requests
    assert set(requests) < set(answers)
    assert len(set(answers)) == len(answers)
    assert text.count("Traceback") == text.count('" 502 ') == text.count(" ERROR ") == 2
    times = re.findall(r"/2024:(\d\d:\d\d:\d\d) ", text)
    assert times == sorted(times)


def test_catalogue_parses_with_its_namespaces() -> None:
    root = ElementTree.fromstring(_text("catalogue.xml"))
    cat, price = "{https://schemas.example.com/catalogue/2}", "{https://schemas.example.com/price/1}"
    items = root.find(f"{cat}items")
    assert root.tag == f"{cat}catalogue"
    assert items is not None
    assert int(items.attrib["count"]) == len(items)
    assert len({item.attrib["id"] for item in items}) == len(items)
    assert all(item.findall(f".//{price}price") for item in items)


def test_module_works(tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text(
        "sku,name,supplier,on_hand,on_order,pack_size,unit_cost\n"
        "MUG,Mug,Hollins Ceramics,4,0,6,3.25\n"
        "PEN,Pen,Fenwick Paper,500,0,10,0.40\n"
    )
    # One mug a day, so no deviation: 14 days of lead and 14 of cover need 28, 4 are there, 24 are 4 packs.
    days = [date(2024, 5, 17) - timedelta(days=ago) for ago in range(1, 57)]
    (tmp_path / "sales.csv").write_text("date,sku,quantity\n" + "".join(f"{day},MUG,1\n" for day in days))
    command = [sys.executable, str(FOLDER / "module.py"), "stock.csv", "sales.csv", "--today", "2024-05-17"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"MUG +Mug +4 x 6 +78\.00\n", done.stdout)
    assert "PEN" not in done.stdout

    (tmp_path / "sales.csv").write_text("date,sku,quantity\nyesterday,MUG,1\n")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: sales.csv, line 2: date must be YYYY-MM-DD, got 'yesterday'\n"


def test_chat_holds_valid_tools_and_calls() -> None:
    text = _text("chat.txt")
    tools = json.loads(text[text.index("# Tools\n") + 8 : text.index("\n\nUSER")])
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    calls = re.findall(r"^tool call: (\w+) (.*)$", text, flags=re.MULTILINE)
    assert len(calls) > 3
    for name, arguments in calls:
        assert set(json.loads(arguments)) <= set(schemas[name]["properties"])
        assert set(json.loads(arguments)) >= set(schemas[name]["required"])


# Invented ---------------------------------------------------------------------------------------------------


def test_addresses_are_from_the_ranges_for_documentation() -> None:
    ranges = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"]
    networks = [ipaddress.ip_network(each) for each in ranges]
    text = "".join(_text(name) for name in FILES)
    found = re.findall(r"^([0-9a-f.:]{7,}) - - \[", text, flags=re.MULTILINE)
    assert len(found) > 20
    for address in map(ipaddress.ip_address, found):
        assert any(address in network for network in networks), address
    hosts = re.findall(r"https?://([\w.-]+)", text) + re.findall(r"[\w.]+@([\w.-]+)", text)
    assert hosts
    assert all(host == "example.com" or host.endswith(".example.com") for host in hosts)


# Sizes and savings ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[int, float]]:
    """Tokens and saving of every text, with the tokenizer and a method that the app offers first."""
    tokenizer = MetaTokenizer.from_pretrained("mistral:tekken", method="nested")
    compressed = {name: tokenizer.compress(_text(name)) for name in FILES}
    return {name: (each.original_length, each.saving) for name, each in compressed.items()}


def test_sizes_are_those_of_real_prompts(measured: dict[str, tuple[int, float]]) -> None:
    for name, (tokens, _) in measured.items():
        assert (800 if name == "prose.txt" else 1500) <= tokens <= 6000, (name, tokens)


def test_savings_differ_as_texts_do(measured: dict[str, tuple[int, float]]) -> None:
    saving = {name: share for name, (_, share) in measured.items()}
    assert saving["prose.txt"] < 0.05
    assert 0.05 < saving["module.py"] < 0.25 < saving["chat.txt"] < 0.5
    for name in ("listing.txt", "api.json", "server.log", "catalogue.xml"):
        assert 0.5 < saving[name] < 0.8, name
