"""The page in a real browser: paste, compress, look, point, step through; and what a hostile text may try."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from metatok.summary import summarize
from metatok.tokenizer import MetaTokenizer
from tests.browser.conftest import Explore

ROOT = Path(__file__).parents[2]
EXAMPLES = json.loads((ROOT / "assets/examples/index.json").read_text(encoding="utf-8"))
LINES = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))
HOSTILE = "\n".join(
    [
        "<img src=x onerror=\"window.pwned='img'\">",
        "</script><script>window.pwned='script'</script>",
        "${window.pwned='dollar'} ${1+1} `${1+1}`",
        "{{value}} {{#each this}}{{constructor}}{{/each}} {{{value}}}",
        "<svg/onload=window.pwned='svg'> <a href=\"javascript:window.pwned='a'\">a</a>",
        "\\u003cb\\u003e \\ ' \" &lt;b&gt; &amp; <!-- --> ]]>",
        "<|m12|> <|dict|> [INST] <s> </s>",
        "\u202eabc\u202c \u2066x\u2069 שלום עולם العربية 👩‍👩‍👧‍👦 🦜 e\u0301 日本語 \ufffd \x00 \x07 \u2028",
    ]
)
Open = Callable[..., Explore]

# What `light-dark()` and `oklch()` come to, as the browser paints it.
CONTRAST = """(selector) => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const luminance = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => {
      v /= 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const opaque = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (!/rgba\\(0, 0, 0, 0\\)|transparent/.test(color)) return color;
    }
    return 'white';
  };
  return [...document.querySelectorAll(selector)].map((node) => {
    const [a, b] = [luminance(getComputedStyle(node).color), luminance(opaque(node))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}"""


def outlined(explore: Explore, selector: str) -> list[bool]:
    """Of each node, whether it is lit."""
    return explore.page.eval_on_selector_all(
        selector, "nodes => nodes.map(node => getComputedStyle(node).outlineStyle === 'solid')"
    )


def test_an_example_is_compressed_when_the_page_opens(explore: Open) -> None:
    page = explore()
    text = (ROOT / "assets/examples" / EXAMPLES[0]["file"]).read_text(encoding="utf-8")
    assert page.page.input_value("#text-input textarea") == text
    assert page.text() == text
    before, after = page.counts()
    assert 0 < after < before
    assert page.number("exact").startswith("exact")
    assert page.page.locator("#dictionary .entry").count() > 5


def test_paste_and_compress(explore: Open) -> None:
    page = explore()
    page.compress(LINES)
    expected = summarize(MetaTokenizer.from_pretrained("mistral:tekken"), LINES)
    assert page.text() == LINES
    assert page.counts() == [expected["original_tokens"], expected["compressed_tokens"]]
    assert page.number("saving") == f"{100 * expected['saving']:.1f} %"
    assert page.number("possible") == f"{100 * expected['saving_of_possible']:.1f} %"
    assert page.number("quadratic") == f"{100 * expected['quadratic_saving']:.1f} %"
    rows = page.page.eval_on_selector_all(
        "#dictionary .entry",
        "rows => rows.map(row => [...row.querySelectorAll('.number')].map(n => parseInt(n.firstChild.data)))",
    )
    assert rows == [[phrase["length"], phrase["uses"], phrase["saved"]] for phrase in expected["phrases"]]
    covered = page.page.eval_on_selector_all(
        "#token-view .original [data-m]", "nodes => nodes.map(node => node.textContent)"
    )
    assert len(covered) > 40
    assert sum(map(len, covered)) > 0.7 * len(LINES)
    colors = page.page.eval_on_selector_all(
        "#token-view .original [data-m]",
        "nodes => [...new Set(nodes.map(node => getComputedStyle(node).backgroundColor))]",
    )
    assert len(colors) > 2
    assert "rgba(0, 0, 0, 0)" not in colors


def test_selection_and_search_see_the_source(explore: Open) -> None:
    page = explore()
    text = LINES * 40 + "the needle\n" + LINES
    page.compress(text)
    selected = page.page.evaluate(
        "() => { const box = document.querySelector('#token-view .original');"
        " getSelection().selectAllChildren(box); return getSelection().toString(); }"
    )
    assert selected.rstrip("\n") == text.rstrip("\n")
    spans = page.page.locator("#token-view .original .t").count()
    assert 0 < spans < 5000, "far more tokens were drawn than can be seen"
    page.page.evaluate("getSelection().removeAllRanges(), document.activeElement.blur()")
    assert page.page.evaluate("find('the needle', true, true, true)")  # from the end, past the text box


def test_scrolling_colours_what_comes_into_view(explore: Open) -> None:
    page = explore(height=1600)
    page.compress(LINES * 40)
    last = "document.querySelector('#token-view .original .block:last-child').querySelectorAll('.t').length"
    assert page.page.evaluate(last) == 0
    page.page.evaluate("document.querySelector('#token-view .original').scrollTop = 1e9")
    page.page.wait_for_function(f"{last} > 0")
    assert page.text() == LINES * 40


def test_pointing_at_a_phrase_lights_it_everywhere(explore: Open) -> None:
    page = explore(height=1400)
    page.compress(LINES)
    token = page.page.locator("#token-view .original > .block [data-m]").first
    m = token.get_attribute("data-m")
    assert not any(outlined(page, "#token-view .original [data-m]"))
    token.hover()
    for place in (".original", ".compressed", "#dictionary"):
        lit = outlined(page, f"#token-view {place} [data-m='{m}']:not(.entry)")
        others = outlined(page, f"#token-view {place} [data-m]:not([data-m='{m}'], .entry)")
        assert lit
        assert all(lit)
        assert not any(others)
    assert page.page.inner_text("#token-view .about-chip") == f"m{m}"
    page.page.mouse.move(5, 5)
    assert not any(outlined(page, "#token-view [data-m]:not(.entry)"))

    # The other way round: an entry of the dictionary lights the text.
    entry = page.page.locator("#dictionary .entry").nth(1)
    entry.hover()
    assert any(outlined(page, f"#token-view .compressed [data-m='{entry.get_attribute('data-m')}']"))


def test_the_dictionary_by_keyboard(explore: Open) -> None:
    page = explore(height=1400)
    page.compress(LINES)
    page.page.focus("#token-view .compressed")
    for _ in range(6):  # past the search and the four columns
        page.page.keyboard.press("Tab")
    focused = "document.activeElement.dataset.m"
    first = page.page.evaluate(focused)
    assert first == page.page.locator("#dictionary .entry").first.get_attribute("data-m")
    assert any(outlined(page, f"#token-view .compressed [data-m='{first}']"))

    page.page.keyboard.press("ArrowDown")
    second = page.page.evaluate(focused)
    assert second == page.page.locator("#dictionary .entry").nth(1).get_attribute("data-m")
    assert any(outlined(page, f"#token-view .compressed [data-m='{second}']"))

    page.page.keyboard.press("Enter")
    entry = page.page.locator("#dictionary .entry").nth(1)
    assert entry.get_attribute("aria-pressed") == "true"
    assert page.page.inner_text("#token-view .place").startswith("place 1 of ")
    page.page.keyboard.press("ArrowRight")
    assert page.page.inner_text("#token-view .place").startswith("place 2 of ")
    assert page.page.locator("#token-view .original .here").count() == 1
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("ArrowLeft")
    total = page.page.inner_text("#token-view .place").removeprefix("place ").split(" of ")
    assert total[0] == total[1], "stepping back from the first place goes to the last"
    here = page.page.evaluate(
        "() => { const node = document.querySelector('#token-view .original .here').getBoundingClientRect();"
        " const box = document.querySelector('#token-view .original').getBoundingClientRect();"
        " return node.bottom > box.top && node.top < box.bottom; }"
    )
    assert here, "the place is not in sight"

    page.page.mouse.move(400, 1000)  # what is held stays lit
    assert page.page.inner_text("#token-view .about-chip") == f"m{second}"
    page.page.keyboard.press("Escape")
    assert entry.get_attribute("aria-pressed") == "false"
    assert page.page.locator("#token-view .here").count() == 0


def test_compress_by_keyboard_alone(explore: Open) -> None:
    page = explore()
    page.page.focus("#text-input textarea")
    page.set_text(LINES)
    before = page.drawn()
    for _ in range(12):
        page.page.keyboard.press("Tab")
        if page.page.evaluate("document.activeElement.id") == "compress-button":
            break
    else:
        pytest.fail("Tab does not reach the button")
    page.page.keyboard.press("Enter")
    page.wait_drawn(before)
    assert page.text() == LINES
    page.page.focus("#text-input textarea")
    page.set_text(LINES + "and more")
    before = page.drawn()
    page.page.keyboard.press("Shift+Enter")
    page.wait_drawn(before)


def test_a_click_holds_and_lets_go(explore: Open) -> None:
    page = explore(height=1400)
    page.compress(LINES)
    token = page.page.locator("#token-view .original [data-m] .t").first
    token.click()
    assert page.page.is_visible("#token-view .steps")
    assert page.page.inner_text("#token-view .place").startswith("place 1 of "), (
        "stepping begins at the place that was clicked"
    )
    page.page.click("#token-view .next")
    assert page.page.inner_text("#token-view .place").startswith("place 2 of ")
    page.page.click("#token-view .release")
    assert not page.page.is_visible("#token-view .steps")


def test_charts_are_drawn(explore: Open) -> None:
    page = explore()
    for elem_id, mark in (("length-plot", ".bars .point path"), ("compute-plot", ".scatterlayer .lines path")):
        shapes = page.page.locator(f"#{elem_id} {mark}")
        assert shapes.count() >= 2
        assert all(shape.bounding_box()["width"] > 1 for shape in shapes.all())


def test_choices_recompute_at_once(explore: Open) -> None:
    page = explore()
    page.compress(LINES)
    seen = {tuple(page.counts())}
    for method in ("ltsc", "flat", "nested"):
        before = page.drawn()
        page.page.check(f"#method input[value={method}]")
        page.wait_drawn(before)
        tokenizer = MetaTokenizer.from_pretrained("mistral:tekken", method=method)
        assert page.counts() == [len(tokenizer.encode(LINES)), len(tokenizer.compress(LINES))]
        seen.add(tuple(page.counts()))
    assert len(seen) > 2
    assert page.text("compressed").startswith("<dict>")

    before = page.drawn()
    page.page.get_by_role("button", name=EXAMPLES[0]["title"], exact=True).click()
    page.wait_drawn(before)
    before, counts = page.drawn(), page.counts()
    page.choose("meta-tokens", "at most 64")
    page.wait_drawn(before)
    assert page.counts()[1] > counts[1]
    before, compute = page.drawn(), page.number("compute")
    page.choose("architecture", "SmolLM2-135M")
    expect(page.page.locator("#summary [data-name=compute] .value")).not_to_have_text(compute)
    assert page.drawn() == before, "the model that reads does not change the text"
    assert "SmolLM2-135M" in page.page.inner_text("#summary")


def test_every_example_compresses(explore: Open) -> None:
    page = explore()
    assert len(EXAMPLES) >= 7
    for example in reversed(EXAMPLES):
        before = page.drawn()
        page.page.get_by_role("button", name=example["title"], exact=True).click()
        page.wait_drawn(before)
        text = (ROOT / "assets/examples" / example["file"]).read_text(encoding="utf-8")
        assert page.text() == text
        assert page.page.input_value("#text-input textarea") == text
        assert page.number("exact").startswith("exact")
        assert example["about"] in page.page.inner_text("#example-about")


def test_hostile_text_is_only_shown(explore: Open) -> None:
    page = explore()
    text = (HOSTILE + "\n") * 6
    page.compress(text)
    assert page.text() == text
    assert page.page.evaluate("window.pwned") is None
    made = "#token-view :is(img, script, svg, a, b, iframe, style)"
    assert page.page.locator(made).count() == 0
    for entry in page.page.locator("#dictionary .entry").all()[:20]:
        entry.hover()
    assert page.page.evaluate("window.pwned") is None
    box = page.page.locator("#tokenizer input")
    box.fill("<img src=x onerror=window.pwned=1>${window.pwned=1}{{value}}")
    box.press("Enter")
    page.page.click("#compress-button")
    page.page.wait_for_selector("#message [role=alert]")
    assert "<img src=x" in page.page.inner_text("#message")
    assert page.page.evaluate("window.pwned") is None


def test_characters_of_several_tokens_are_shown_whole(explore: Open) -> None:
    page = explore()
    text = "👩‍👩‍👧‍👦 🦜 漢字仮名 ᚠᛇᚻ 𝔘𝔫𝔦 \n" * 5
    page.compress(text)
    assert page.text() == text
    shown = page.page.eval_on_selector_all("#token-view .original .t", "nodes => nodes.map(node => node.textContent)")
    assert "\ufffd" not in "".join(shown)
    assert "".join(shown) == text


def test_a_text_that_does_not_shrink(explore: Open) -> None:
    page = explore()
    page.compress("Nothing here comes twice.")
    assert "stays as it is" in page.page.inner_text("#summary")
    before, after = page.counts()
    assert before == after
    assert page.page.locator("#dictionary .entry").count() == 0
    assert page.text("compressed") == "Nothing here comes twice."


def test_mistakes_get_a_sentence_and_cost_nothing(explore: Open) -> None:
    page = explore()
    page.compress(LINES)
    counts = page.counts()
    message = page.page.locator("#message [role=alert]")

    page.set_text("")
    page.page.click("#compress-button")
    message.wait_for()
    assert "no text yet" in message.inner_text()
    assert page.text() == LINES, "the result is gone"

    page.set_text(LINES)
    box = page.page.locator("#tokenizer input")
    box.fill("no-such/tokenizer")
    box.press("Enter")
    page.page.click("#compress-button")
    expect(page.page.locator("#message")).to_contain_text("no-such/tokenizer")
    assert message.inner_text().endswith(".")
    assert "Traceback" not in page.page.inner_text("body")
    assert page.page.input_value("#text-input textarea") == LINES
    assert page.counts() == counts
    assert page.text() == LINES

    before = page.drawn()
    box.fill("mistral:v3")
    box.press("Enter")
    page.page.click("#compress-button")
    page.wait_drawn(before)
    assert page.page.locator("#message [role=alert]").count() == 0
    assert page.counts() != counts


def test_a_text_that_is_too_long_is_refused_and_kept(explore: Open) -> None:
    page = explore()
    text = "a line that is rather long, for text boxes are slow with many short ones\n" * 70_000
    page.set_text(text)
    page.page.click("#compress-button")
    message = page.page.locator("#message [role=alert]")
    message.wait_for()
    assert "5.1 MB" in message.inner_text()
    assert page.page.evaluate("document.querySelector('#text-input textarea').value.length") == len(text)
    assert page.counts()[0] > 0


@pytest.mark.parametrize(("theme", "dark"), [("light", False), ("dark", True)])
def test_contrast_in_both_themes(explore: Open, theme: str, dark: bool) -> None:
    page = explore(theme=theme, height=1400)
    page.compress("".join(f"alpha beta {i} gamma; alpha {i} delta {i * 7919 % 31}\n" * 2 for i in range(60)))
    background = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background.strip("rgb()").split(","))) < 150) is dark
    hues = page.page.eval_on_selector_all(
        "#token-view .compressed .chip", "nodes => [...new Set(nodes.map(node => node.className))]"
    )
    assert len(hues) > 10
    for selector in (
        "#token-view .t, #token-view .chip, #token-view .entry .whole",
        "#token-view small, #token-view .hint, #token-view .strip-name, #token-view .columns span, #token-view h2",
        "#summary .value, #summary .label, #summary .note, #header p, #header h1, #header .m",
        "#compress-button, #examples button, #example-about p, #method label span, footer button",
        "#text-input textarea, #text-input span, #tokenizer input, .info-text",
    ):
        ratios = page.page.evaluate(CONTRAST, selector)
        assert ratios
        assert min(ratios) >= 4.5, (selector, min(ratios))
    page.page.locator("#dictionary .entry").first.hover()
    lit = page.page.evaluate(CONTRAST, "#token-view [data-m]:not(.entry)")
    assert min(lit) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_narrow_screen(explore: Open, theme: str) -> None:
    page = explore(width=390, height=844, theme=theme)
    page.compress((LINES[:1000] + "x" * 3000 + "\n") * 3)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = [page.page.locator(f"#token-view .{name}").bounding_box() for name in ("original", "compressed", "entries")]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"], "panes stand one below the other"
    page.page.locator("#dictionary .entry").first.click()
    assert page.page.is_visible("#token-view .next")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_roles_and_names(explore: Open) -> None:
    page = explore()
    for role, name in (
        ("textbox", "Your text"),
        ("combobox", "Tokenizer"),
        ("region", "Original text, coloured by phrase"),
        ("region", "Compressed sequence"),
        ("region", "Dictionary"),
        ("button", "Compress"),
        ("radio", "inline: as nested, without a dictionary: the first use defines"),
    ):
        assert page.page.get_by_role(role, name=name, exact=role == "button").count() == 1, (role, name)
    assert page.page.get_by_role("heading", level=1).count() == 1
    assert page.page.locator("#summary [role=status]").count() == 1
    assert "tokens" in page.page.locator("#dictionary .entry").first.text_content()
    assert page.page.locator("#token-view .entry[tabindex='0']").count() == 1


def test_a_hundred_thousand_tokens_are_shown_and_few_are_drawn(explore: Open) -> None:
    """How long it takes is measured by `python -m benchmarks.startup`."""
    page = explore()
    line = "2024-05-01T{:02}:{:02} worker-{} GET /api/v2/orders/{} 200\n"
    text = "".join(line.format(i % 24, i % 60, i % 9, i) for i in range(3600))
    page.compress(text)
    assert page.counts()[0] > 100_000
    assert page.text() == text
    assert page.page.locator("#token-view .original .t").count() < 5000
