"""The Explore tab beyond compressing (test_page.py): panes linked token by token, whitespace and ids, the dictionary
searched and sorted, the walk, parts that stay raw, and what can be taken away."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from metatok.container import unpack
from metatok.tokenizer import MetaTokenizer
from metatok.views.export import KINDS
from tests.browser.conftest import Explore

LINES = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))
BLANKS = "a  b\tc\n\u00a0\u200b\x07 end\n" * 4
Open = Callable[..., Explore]

IN_SIGHT = """([box, inner]) => {
  const outer = document.querySelector(box).getBoundingClientRect();
  const node = document.querySelector(box + ' ' + inner).getBoundingClientRect();
  return node.bottom > outer.top && node.top < outer.bottom;
}"""


def marked(explore: Explore, pane: str, mark: str = "twin") -> str:
    node = explore.page.locator(f"#token-view .{pane} .{mark}")
    expect(node).to_have_count(1)
    assert explore.page.evaluate(IN_SIGHT, [f"#token-view .{pane}", f".{mark}"]), f"the {mark} is out of sight"
    return node.text_content() or ""


def tool(explore: Explore, name: str) -> None:
    explore.page.get_by_role("button", name=name, exact=True).click()


def test_a_token_in_either_pane_shows_the_other(explore: Open) -> None:
    page = explore(height=1400)
    page.compress(LINES * 10 + "some needle here\n" + LINES)
    page.page.evaluate("document.querySelector('#token-view .original').scrollTop = 1e6")
    needle = page.page.locator("#token-view .original .t", has_text="needle").first
    needle.hover()
    assert marked(page, "compressed") == marked(page, "original") == " needle"
    (wanted,) = MetaTokenizer.from_pretrained("mistral:tekken").encode(" needle").tolist()
    assert page.page.inner_text("#token-view .about-numbers").endswith(f"id {wanted}")

    # A meta-token, and back: the click holds the phrase at just this place, in both panes.
    meta = page.page.locator("#token-view .compressed > .block > span > .chip").last
    meta.click()
    m = meta.get_attribute("data-m")
    assert marked(page, "compressed", "here") == f"m{m}"
    phrase = marked(page, "original", "here")
    assert phrase
    assert page.page.inner_text("#token-view .about-chip") == f"m{m}"
    page.page.locator("#token-view .original .here .t").first.click()  # again: it lets go
    expect(page.page.locator("#token-view .here")).to_have_count(0)

    # By keyboard: arrow keys walk through a pane, Enter holds, arrow keys step, Esc lets go.
    page.page.focus("#token-view .original")
    page.page.evaluate("document.querySelector('#token-view .original').scrollTop = 0")
    for _ in range(12):
        page.page.keyboard.press("ArrowRight")
        if page.page.is_visible("#token-view .about-chip"):
            break
    chosen = page.page.inner_text("#token-view .about-chip")
    assert chosen in page.page.inner_text("#token-view .told")
    page.page.keyboard.press("Enter")
    assert page.page.inner_text("#token-view .place").startswith("place 1 of ")
    page.page.keyboard.press("ArrowRight")
    assert page.page.inner_text("#token-view .place").startswith("place 2 of ")
    page.page.keyboard.press("Escape")
    assert page.page.is_visible("#token-view .hint")


def test_whitespace_ids_and_the_panes_one_above_the_other(explore: Open) -> None:
    page = explore(height=1400)
    page.compress(BLANKS)
    compressed = page.text("compressed")
    tool(page, "Whitespace")
    marks = page.page.eval_on_selector_all(
        "#token-view .original .blank", "nodes => [...new Set(nodes.map(node => node.dataset.mark))]"
    )
    assert {"·", "→", "↵", "U+0007", "U+00A0", "U+200B"} <= set(marks)
    tool(page, "Token ids")
    ids = page.page.eval_on_selector_all(
        "#token-view .original .t",
        "nodes => nodes.flatMap(node => (node.dataset.id ?? node.dataset.lineId).split('+'))",
    )
    tok = MetaTokenizer.from_pretrained("mistral:tekken")
    assert list(map(int, ids)) == tok.encode(BLANKS).tolist()
    shown = page.page.eval_on_selector_all(
        "#token-view .compressed :is(.t, .chip)",
        "nodes => nodes.flatMap(node => (node.dataset.id ?? node.dataset.lineId).split('+'))",
    )
    assert list(map(int, shown)) == tok.compress(BLANKS).ids.tolist()
    assert page.text() == BLANKS, "marks and ids are drawn, not written"
    assert page.text("compressed") == compressed

    def places() -> list[dict[str, float]]:
        return [page.page.locator(f"#token-view .{pane}").bounding_box() for pane in ("original", "compressed")]

    beside = places()
    assert beside[0]["y"] == beside[1]["y"]
    tool(page, "One above the other")
    above = places()
    assert above[0]["x"] == above[1]["x"]
    assert above[0]["y"] + above[0]["height"] <= above[1]["y"]
    page.compress(LINES)  # the choices outlast a new text
    assert places()[0]["x"] == places()[1]["x"]
    assert page.page.locator("#token-view .original .blank").count() > 0


def test_the_dictionary_is_searched_and_sorted(explore: Open) -> None:
    page = explore(height=1400)
    page.compress(LINES)
    rows = (
        "rows => rows.map(row => [row.querySelector('.whole').textContent,"
        " ...[...row.querySelectorAll('.number')].map(n => parseInt(n.firstChild.data))])"
    )

    def entries() -> list[list[str | int]]:
        return page.page.eval_on_selector_all("#dictionary .entry", rows)

    every = entries()
    assert [row[3] for row in every] == sorted((row[3] for row in every), reverse=True)
    for name, column in (("tokens", 1), ("uses", 2)):
        page.page.get_by_role("button", name=f"sort by {name}", exact=True).click()
        assert [row[column] for row in entries()] == sorted((row[column] for row in every), reverse=True)
    page.page.keyboard.press("Enter")  # the other way round
    assert [row[2] for row in entries()] == sorted(row[2] for row in every)
    assert page.page.get_by_role("button", name="sort by uses, now rising").get_attribute("aria-pressed") == "true"

    page.page.get_by_role("searchbox", name="Search the dictionary").fill("PACKAGE")
    found = entries()
    assert 0 < len(found) < len(every)
    assert all("package" in str(row[0]) for row in found)
    assert f"{len(found)} of {len(every)} phrases" in page.page.inner_text("#token-view .dictionary-count")
    page.page.fill("#token-view .search", "no such phrase")
    assert entries() == []
    page.page.fill("#token-view .search", "")
    assert len(entries()) == len(every)

    # A phrase that holds others says so; pointing at one of them lights it, a click goes to it.
    outer = page.page.locator("#dictionary .entry:has(.written)").first
    outer.click()
    inner = page.page.locator("#token-view .about .inner").first
    m = inner.get_attribute("data-m")
    assert m != outer.get_attribute("data-m")
    inner.hover()
    outlines = page.page.eval_on_selector_all(
        f"#token-view .original :is([data-m='{m}'], [data-n='{m}'])",
        "nodes => nodes.map(node => getComputedStyle(node).outlineStyle)",
    )
    assert outlines
    assert set(outlines) == {"solid"}
    inner.focus()
    page.page.keyboard.press("Enter")
    assert page.page.inner_text("#token-view .about-chip") == f"m{m}"


def test_the_walk_plays_and_can_be_stopped(explore: Open) -> None:
    page = explore(reduced_motion="no-preference")
    page.page.focus("#token-view .walk-open")
    page.page.keyboard.press("Enter")
    at, play = page.page.locator("#token-view .walk-at"), page.page.locator("#token-view .walk-play")
    expect(play).to_be_focused()
    expect(play).to_have_text("Pause")
    expect(at).to_have_text("2 of 11")  # by itself
    page.page.keyboard.press("Enter")
    expect(play).to_have_text("Play")
    page.page.keyboard.press("ArrowLeft")
    expect(at).to_have_text("1 of 11")
    for step in range(2, 12):
        page.page.keyboard.press("ArrowRight")
        expect(at).to_have_text(f"{step} of 11")
    expect(page.page.locator("#token-view .walk-say")).to_contain_text("nothing is lost")
    page.page.keyboard.press("Enter")  # plays again, from the start
    expect(at).to_have_text("1 of 11")
    page.page.keyboard.press("Escape")
    assert not page.page.is_visible("#token-view .walk")
    expect(page.page.locator("#token-view .walk-open")).to_be_focused()


def test_the_walk_without_motion_goes_by_steps(explore: Open) -> None:
    page = explore(reduced_motion="reduce", width=390, height=844)
    page.compress(LINES)
    page.page.focus("#token-view .walk-open")
    page.page.keyboard.press("Enter")
    assert not page.page.is_visible("#token-view .walk-play")
    following = page.page.locator("#token-view .walk-next")
    expect(following).to_be_focused()
    expect(page.page.locator("#token-view .walk-say")).to_contain_text("the first 200 tokens of your text")
    for act in ("Find", "Count", "Replace", "Write down"):
        page.page.keyboard.press("Enter")
        assert page.page.inner_text("#token-view .walk-say").startswith(act)
        running = "() => document.querySelector('#token-view .walk').getAnimations({ subtree: true }).length"
        assert page.page.evaluate(running) == 0
    assert page.page.locator("#token-view .walk-book li").count() == 1
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    page.page.click("#token-view .walk-close")
    assert not page.page.is_visible("#token-view .walk")


SELECT = """([start, stop]) => {
  const box = document.querySelector('#text-input textarea');
  box.focus();
  box.setSelectionRange(start, stop);
}"""


def test_selected_parts_stay_raw(explore: Open) -> None:
    page = explore(height=1400)
    page.compress(LINES)
    free = page.counts()[1]
    page.page.click("#keep .add")
    expect(page.page.locator("#keep .said")).to_contain_text("Nothing is selected")

    # In the text box, by keyboard.
    page.page.evaluate(SELECT, [200, 700])
    before = page.drawn()
    page.page.focus("#keep .add")
    page.page.keyboard.press("Enter")
    page.wait_drawn(before)
    kept = MetaTokenizer.from_pretrained("mistral:tekken").compress(LINES, keep=[(200, 700)])
    assert page.counts() == [kept.original_length, len(kept)]
    assert len(kept) > free
    raw = "".join(page.page.locator("#token-view .original .kept").all_text_contents())
    assert LINES[200:700] in raw
    assert raw in LINES
    assert page.page.locator("#token-view .original [data-m] .kept").count() == 0
    expect(page.page.locator("#keep .parts li")).to_have_count(1)
    assert LINES[200:220] in page.page.inner_text("#keep .parts li")

    # In the original pane.
    page.page.evaluate(
        """() => {
          const tokens = document.querySelectorAll('#token-view .original .t');
          getSelection().setBaseAndExtent(tokens[0].firstChild, 0, tokens[9].firstChild, tokens[9].textContent.length);
        }"""
    )
    before = page.drawn()
    page.page.click("#token-view .keep-selection")
    page.wait_drawn(before)
    expect(page.page.locator("#keep .parts li")).to_have_count(2)
    assert page.page.locator("#token-view .original .t").first.evaluate("node => node.classList.contains('kept')")

    # What is written in front moves them; a part that is edited is let go, and that is said.
    page.set_text("In front. " + LINES)
    before = page.drawn()
    page.page.click("#compress-button")
    page.wait_drawn(before)
    assert LINES[200:700] in "".join(page.page.locator("#token-view .original .kept").all_text_contents())
    page.set_text("In front. " + LINES[:300] + "X" + LINES[300:])
    expect(page.page.locator("#keep .parts li")).to_have_count(1)
    expect(page.page.locator("#keep .said")).to_contain_text("no longer kept raw")

    before = page.drawn()
    page.page.set_viewport_size({"width": 390, "height": 844})
    let_go = page.page.get_by_role("button", name="compress this part again")
    box = let_go.bounding_box()
    assert box["x"] + box["width"] <= 390
    let_go.click()
    page.wait_drawn(before)
    expect(page.page.locator("#keep .parts li")).to_have_count(0)
    assert page.page.locator("#token-view .kept").count() == 0


def test_results_are_copied_and_downloaded(explore: Open, tmp_path: Path) -> None:
    page = explore(permissions=["clipboard-read", "clipboard-write"])
    text = LINES + "🦜 <script>window.pwned = 1</script> ${window.pwned = 1}\n"
    page.compress(text)
    compressed = MetaTokenizer.from_pretrained("mistral:tekken").compress(text)
    files = {}
    for kind, label in KINDS.items():
        if kind != next(iter(KINDS)):
            page.choose("export-kind", label)
        with page.page.expect_download() as download:
            page.page.click("#export-download")
        assert download.value.suggested_filename == f"metatok-{kind}"
        download.value.save_as(tmp_path / kind)
        files[kind] = (tmp_path / kind).read_bytes()
    assert json.loads(files["compressed.json"])["ids"] == compressed.ids.tolist()
    assert len(files["compressed.csv"].decode().splitlines()) > len(compressed)
    assert len(json.loads(files["dictionary.json"])) == len(compressed.phrases)
    assert json.loads(files["summary.json"])["compressed_tokens"] == len(compressed)
    assert unpack(files["prompt.mtk"]).decode() == text
    assert page.page.evaluate("window.pwned") is None

    page.choose("export-kind", KINDS["compressed.json"])
    page.page.focus("#export-copy")
    page.page.keyboard.press("Enter")
    expect(page.page.locator("#exported .said")).to_contain_text("Copied")
    assert page.page.evaluate("navigator.clipboard.readText()") == files["compressed.json"].decode()

    page.compress(text + "\n")
    expect(page.page.locator("#exported .said")).to_have_text("")  # that was another result

    page.set_text(text + "and more")  # what is shown is no longer this text's
    page.page.click("#export-download")
    expect(page.page.locator("#message [role=alert]")).to_contain_text("Compress again")
