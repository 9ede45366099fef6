// The token view: the dictionary, searched and sorted.

// Spaces at an edge or in a row, tabs and line ends count in a phrase, so they are drawn.
function visible(text) {
  return text
    .replace(/\n/g, "↵")
    .replace(/\t/g, "⇥")
    .replace(/^ +| +$|(?<= ) +| +(?= )/g, (run) => "·".repeat(run.length));
}

// What each column is sorted by, and whether the greatest comes first at the first click.
const COLUMN = {
  phrase: { of: (phrase) => textOf(phrase), down: false, name: "text of the phrase" },
  length: { of: (phrase) => phrase.length, down: true, name: "tokens" },
  uses: { of: (phrase) => phrase.uses, down: true, name: "uses" },
  saved: { of: (phrase) => phrase.saved, down: true, name: "tokens saved" },
};
let sorted = { by: "saved", down: true };

function sortBy(by) {
  sorted = { by, down: sorted.by === by ? !sorted.down : COLUMN[by].down };
  list();
}

// The dictionary from its beginning: the phrases that hold what is searched for, in the order that was chosen.
function list() {
  const needle = part("search").value.toLowerCase();
  const found = (phrase) => ("m" + phrase.m).startsWith(needle) || textOf(phrase).toLowerCase().includes(needle);
  const { of } = COLUMN[sorted.by];
  const sign = sorted.down ? -1 : 1;
  const keyed = [...view.phrases.values()].filter((p) => !needle || found(p)).map((p) => [of(p), p]);
  keyed.sort(([a, p], [b, q]) => (a < b ? -sign : a > b ? sign : p.rank - q.rank));
  view.order = keyed.map(([, phrase]) => phrase);

  element.querySelectorAll(".sort").forEach((button) => {
    const { name } = COLUMN[button.dataset.by];
    const on = button.dataset.by === sorted.by;
    button.querySelector(".arrow").textContent = on ? (sorted.down ? "↓" : "↑") : "";
    button.setAttribute("aria-pressed", on);
    button.setAttribute("aria-label", `sort by ${name}` + (on ? (sorted.down ? ", now falling" : ", now rising") : ""));
  });
  const all = view.phrases.size;
  const some = needle ? `${view.order.length.toLocaleString("en")} of ` : "";
  part("dictionary-count").textContent = some + count(all, "phrase");
  part("list").replaceChildren();
  addEntries(ENTRIES);
  part("entries").scrollTop = 0;
  if (held && entryOf(lit)) {
    entryOf(lit).setAttribute("aria-pressed", "true");
    setTabStop(entryOf(lit));
  }
}

function addEntries(upTo) {
  const drawn = part("list");
  const rows = document.createDocumentFragment();
  for (const phrase of view.order.slice(drawn.children.length, upTo)) {
    const item = make("li");
    const entry = make("button", "entry " + hue(phrase.m));
    entry.type = "button";
    entry.dataset.m = phrase.m;
    entry.tabIndex = drawn.children.length + rows.children.length ? -1 : 0;
    entry.setAttribute("aria-pressed", "false");
    const text = make("span", "phrase");
    text.append(chip(phrase.m), " ", make("bdi", "whole", visible(textOf(phrase).slice(0, QUOTED))));
    if (phrase.inner.length) text.append(written(phrase, chip));
    entry.append(text);
    for (const [value, unit] of [[phrase.length, "tokens"], [phrase.uses, "uses"], [phrase.saved, "saved"]]) {
      const number = make("span", "number", value.toLocaleString("en"));
      number.append(make("span", "spoken", " " + unit));
      entry.append(number);
    }
    item.append(entry);
    rows.append(item);
  }
  drawn.append(rows);
  const left = view.order.length - drawn.children.length;
  part("more").hidden = left <= 0;
  part("more").textContent = "Show " + Math.min(left, 2 * ENTRIES) + " more of " + left.toLocaleString("en");
}

// A definition as it is written: text with the meta-tokens in it, each made by `makeChip`.
function written(phrase, makeChip) {
  const out = make("bdi", "written");
  for (const piece of phrase.written) out.append(typeof piece === "string" ? visible(piece) : makeChip(piece));
  return out;
}

// The text that a phrase stands for, read off one of its places; as it is written where no place shows it
// (it lies beyond what is sent, or is a part of a character).
function textOf(phrase) {
  if (phrase.text !== undefined) return phrase.text;
  const start = view.first.get(phrase.m) ?? view.lengths.length;
  const stop = Math.min(start + phrase.length, view.lengths.length);
  const text = view.text.slice(view.starts[start], view.starts[stop]);
  phrase.text = text || phrase.written.map((piece) => (typeof piece === "string" ? piece : "m" + piece)).join("");
  return phrase.text;
}

// One place of every phrase, also of those that stand only inside others: {m: token}.
function firstPlaces({ spans, phrases }) {
  const first = new Map();
  const visit = (m, start) => {
    if (first.has(m)) return;
    first.set(m, start);
    const { inner } = phrases.get(m);
    for (let k = 0; k < inner.length; k += 2) visit(inner[k + 1], start + inner[k]);
  };
  for (let r = 0; r < spans.length; r += 3) visit(spans[r + 2], spans[r]);
  return first;
}

const entryOf = (m) => element.querySelector(`.entry[data-m="${m}"]`);
