// The token view in the browser. Gradio runs this file as the body of a function (element, trigger, props,
// server, upload, watch), once for a component; `props.value` is the JSON of `view_data` in tokens.py, which
// describes it.
//
// What keeps 100,000 tokens quick:
// - A text goes in as plain text, in blocks that end where a line ends, which the browser skips while they are
//   out of sight. A chunk of it is rebuilt as spans when it nears the window of its pane. Text, selection and
//   search are right at every moment, because spans change how the text looks and never what it says.
// - To light a phrase is to swap one rule of a style sheet. Chunks that are built later obey it by themselves.
// - A handful of listeners on the component; none on a token.

const HUES = 16;
const CHUNK = 256; // tokens that turn into spans together, more or less
const LONGEST = 1024; // tokens of a chunk where no line ends
const DEPTH = 12; // phrases within phrases that are marked in the text
const COLUMNS = 400; // of a strip
const ENTRIES = 200; // of the dictionary that are drawn at once
const QUOTED = 400; // UTF-16 units of a phrase in the caption
const LIT_ENTRY = "background: light-dark(oklch(95% .04 var(--h)), oklch(28% .05 var(--h)));";
const LIT =
  "background: light-dark(oklch(84% .135 var(--h)), oklch(46% .12 var(--h))); color: light-dark(#000, #fff); " +
  "outline: 2px solid light-dark(oklch(48% .15 var(--h)), oklch(82% .11 var(--h))); outline-offset: -1px;";

const part = (name) => element.querySelector("." + name);
const count = (n, noun) => n.toLocaleString("en") + " " + noun + (n === 1 ? "" : "s");
const hue = (m) => "k" + (m % HUES);

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function chip(m) {
  const node = make("span", "chip " + hue(m), "m" + m);
  node.dataset.m = m;
  return node;
}

const sheet = new CSSStyleSheet();
document.adoptedStyleSheets.push(sheet);

let view = null; // what is shown
let lit = null; // number of the meta-token that is lit, or null
let held = false; // does it stay lit when the pointer leaves?
let drawn = 0; // how often
let place = -1; // which of its places the reader stands at

// ---- From JSON to arrays that can be searched

function read(json) {
  const data = JSON.parse(json);
  const phrases = new Map();
  data.phrases.forEach(([m, length, uses, saved, written, inner], rank) => {
    phrases.set(m, { m, length, uses, saved, written, inner, rank });
  });
  const spans = Int32Array.from(data.spans);
  return {
    ...data,
    phrases,
    spans,
    first: firstPlaces({ spans, phrases }),
    defines: Int32Array.from(data.defines),
    starts: offsets(data.lengths),
    rawStarts: offsets(data.symbols),
  };
}

// Where each token begins in its text; negative lengths are meta-tokens, which have no text of their own.
function offsets(lengths) {
  const out = new Int32Array(lengths.length + 1);
  for (let i = 0; i < lengths.length; i++) out[i + 1] = out[i] + Math.max(lengths[i], 0);
  return out;
}

// The first of the (start, stop, m) triples in `runs` that ends behind position i, as an index into the array.
function runAt(runs, i) {
  let low = 0;
  let high = runs.length / 3;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runs[3 * middle + 1] <= i) low = middle + 1;
    else high = middle;
  }
  return 3 * low;
}

// The meta-token of the run that covers position i, or -1.
function coveredBy(runs, i) {
  const r = runAt(runs, i);
  return r < runs.length && runs[r] <= i ? runs[r + 2] : -1;
}

const metaOf = (symbol) => -3 - symbol; // m of a symbol below -2
const nameOf = (symbol) => (symbol === -1 ? "<dict>" : symbol === -2 ? "</dict>" : "m" + metaOf(symbol));

// ---- Panes: text first, spans when they are needed

// Shows items 0 … total-1: `textOf(from, to)` is their text, `build(from, to)` the same text as nodes with
// colour, `endsLine(i)` whether item i is the last of a line.
function fill(box, total, textOf, endsLine, build) {
  const chunks = [];
  const observer = new IntersectionObserver(
    (entries) => entries.forEach((entry) => entry.isIntersecting && show(entry.target.chunk)),
    { root: box, rootMargin: "800px 0px" },
  );
  function show(chunk) {
    if (chunk.built) return;
    chunk.built = true;
    observer.unobserve(chunk.node);
    chunk.node.replaceChildren(build(chunk.from, chunk.to));
  }

  const blocks = document.createDocumentFragment();
  let block = null;
  let lines = 1;
  let from = 0;
  for (let i = 0; i < total; i++) {
    const size = i + 1 - from;
    const last = i + 1 === total;
    if (!last && size < CHUNK) continue;
    const line = endsLine(i);
    if (!last && !line && size < LONGEST) continue;

    // A block is a box of its own, so it may end only where a line does; chunks within it are inline.
    const text = textOf(from, i + 1);
    const node = make("span", "", text);
    const chunk = { node, from, to: i + 1, built: false };
    node.chunk = chunk;
    chunks.push(chunk);
    if (!block) {
      block = make("div", "block");
      blocks.append(block);
      lines = 1;
    }
    block.append(node);
    lines += text.split("\n").length - 1;
    if (line || last) {
      block.style.setProperty("--lines", line ? lines - 1 : lines);
      block = null;
    }
    from = i + 1;
  }
  box.replaceChildren(blocks);
  box.scrollTop = 0;
  chunks.slice(0, 3).forEach(show);
  chunks.forEach((chunk) => chunk.built || observer.observe(chunk.node));

  const at = (item) => {
    let low = 0;
    let high = chunks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (chunks[middle].to <= item) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    box,
    stop: () => observer.disconnect(),
    // The node for which `selector` holds in the chunk of an item, or in the next one.
    find(item, selector) {
      for (const chunk of chunks.slice(at(item), at(item) + 2)) {
        show(chunk);
        const node = chunk.node.querySelector(selector);
        if (node) return node;
      }
      return null;
    },
  };
}

function fillOriginal() {
  const { text, starts, spans, phrases } = view;

  function tokens(parent, from, to) {
    for (let i = from; i < to; i++) {
      if (starts[i + 1] > starts[i]) parent.append(make("span", "t", text.slice(starts[i], starts[i + 1])));
    }
  }
  // Tokens from … to of the occurrence of m that begins at token `start`; phrases inside it are marked as well.
  function phrase(m, start, from, to, depth) {
    const node = make("span", hue(m));
    node.dataset[depth ? "n" : "m"] = m;
    node.dataset.at = start;
    const inner = depth < DEPTH ? phrases.get(m).inner : [];
    let i = from;
    for (let k = 0; k < inner.length; k += 2) {
      const begin = start + inner[k];
      const end = begin + phrases.get(inner[k + 1]).length;
      if (end <= i) continue;
      if (begin >= to) break;
      tokens(node, i, begin);
      i = Math.max(i, begin);
      node.append(phrase(inner[k + 1], begin, i, Math.min(end, to), depth + 1));
      i = Math.min(end, to);
    }
    tokens(node, i, to);
    return node;
  }
  function build(from, to) {
    const out = document.createDocumentFragment();
    let i = from;
    for (let r = runAt(spans, from); r < spans.length && spans[r] < to; r += 3) {
      tokens(out, i, spans[r]);
      i = Math.max(i, spans[r]);
      const stop = Math.min(spans[r + 1], to);
      out.append(phrase(spans[r + 2], spans[r], i, stop, 0));
      i = stop;
    }
    tokens(out, i, to);
    return out;
  }
  const textOf = (from, to) => text.slice(starts[from], starts[to]);
  const endsLine = (i) => text[starts[i + 1] - 1] === "\n";
  view.original = fill(part("original"), view.lengths.length, textOf, endsLine, build);
}

function fillCompressed() {
  const { raw, rawStarts, symbols, defines } = view;

  function symbol(i) {
    const s = symbols[i];
    if (s >= 0) return s ? make("span", "t", raw.slice(rawStarts[i], rawStarts[i + 1])) : null;
    if (s >= -2) return make("span", "chip mark", nameOf(s));
    const node = chip(metaOf(s));
    node.dataset.at = i;
    return node;
  }
  function build(from, to) {
    const out = document.createDocumentFragment();
    let r = runAt(defines, from);
    for (let i = from; i < to; ) {
      const inside = r < defines.length && defines[r] <= i;
      const stop = Math.min(to, inside ? defines[r + 1] : r < defines.length ? defines[r] : to);
      let parent = out;
      if (inside) {
        parent = make("span", "definition " + hue(defines[r + 2]));
        parent.dataset.m = defines[r + 2];
        out.append(parent);
      }
      for (; i < stop; i++) {
        const node = symbol(i);
        if (node) parent.append(node);
      }
      if (inside && i === defines[r + 1]) r += 3;
    }
    return out;
  }
  function textOf(from, to) {
    let out = "";
    let i = from;
    for (let k = from; k < to; k++) {
      if (symbols[k] >= 0) continue;
      out += raw.slice(rawStarts[i], rawStarts[k]) + nameOf(symbols[k]);
      i = k;
    }
    return out + raw.slice(rawStarts[i], rawStarts[to]);
  }
  const endsLine = (i) => symbols[i] > 0 && raw[rawStarts[i + 1] - 1] === "\n";
  view.sequence = fill(part("compressed"), symbols.length, textOf, endsLine, build);
}

// ---- Strips

// Columns that sample `total` items; neighbours of one look become one element.
function drawStrip(name, share, total, metaAt, writtenAt) {
  const strip = part(name);
  const ticks = part(name + " .ticks");
  strip.replaceChildren(ticks);
  strip.style.width = 100 * share + "%";
  const columns = Math.min(total, Math.max(1, Math.round(COLUMNS * share)));
  const look = (c) => {
    const i = Math.floor(((c + 0.5) * total) / columns);
    const m = metaAt(i);
    return (m < 0 ? "" : hue(m)) + (writtenAt(i) ? " written" : "");
  };
  for (let c = 0; c < columns; ) {
    const className = look(c);
    const start = c;
    while (c < columns && look(c) === className) c++;
    if (!className) continue;
    const node = make("i", className.trim());
    node.style.left = (100 * start) / columns + "%";
    node.style.width = (100 * (c - start)) / columns + "%";
    strip.append(node);
  }
}

function drawStrips() {
  const { spans, defines, symbols, tokens, compressed } = view;
  const shown = view.lengths.length;
  drawStrip("before", tokens ? 1 : 0, shown, (i) => coveredBy(spans, i), () => false);
  drawStrip(
    "after",
    tokens ? compressed / tokens : 0,
    symbols.length,
    (i) => (symbols[i] < -2 ? metaOf(symbols[i]) : coveredBy(defines, i)),
    (i) => symbols[i] === -1 || symbols[i] === -2 || coveredBy(defines, i) >= 0,
  );
  part("strips").setAttribute(
    "aria-label",
    `Before: ${count(tokens, "token")}. After: ${count(compressed, "token")}, drawn to the same scale.`,
  );
}

// Marks on a strip where the lit phrase stands: one gradient, whatever their number.
function tick(name, total, positions) {
  const ticks = part(name + " .ticks");
  const room = Math.max(1, Math.floor(ticks.clientWidth / 4)); // marks that stay apart
  const columns = [...new Set(positions.map((p) => Math.floor((p * room) / total)))].sort((a, b) => a - b);
  const stops = columns.map((c) => {
    const at = (100 * (c + 0.5)) / room;
    const [left, right] = [`calc(${at}% - 1px)`, `calc(${at}% + 1px)`];
    return `transparent ${left}, var(--ink) ${left} ${right}, transparent ${right}`;
  });
  ticks.style.background = stops.length ? `linear-gradient(90deg, ${stops.join(",")})` : "";
}

// ---- Dictionary

// Spaces at an edge or in a row, tabs and line ends count in a phrase, so they are drawn.
function visible(text) {
  return text
    .replace(/\n/g, "↵")
    .replace(/\t/g, "⇥")
    .replace(/^ +| +$|(?<= ) +| +(?= )/g, (run) => "·".repeat(run.length));
}

function addEntries(upTo) {
  const list = part("list");
  const rows = document.createDocumentFragment();
  const order = [...view.phrases.values()];
  for (const phrase of order.slice(list.children.length, upTo)) {
    const item = make("li");
    const entry = make("button", "entry " + hue(phrase.m));
    entry.type = "button";
    entry.dataset.m = phrase.m;
    entry.tabIndex = list.children.length + rows.children.length ? -1 : 0;
    entry.setAttribute("aria-pressed", "false");
    const text = make("span", "phrase");
    text.append(chip(phrase.m), " ", make("bdi", "whole", visible(textOf(phrase).slice(0, QUOTED))));
    if (phrase.inner.length) text.append(written(phrase));
    entry.append(text);
    for (const [value, unit] of [[phrase.length, "tokens"], [phrase.uses, "uses"], [phrase.saved, "saved"]]) {
      const number = make("span", "number", value.toLocaleString("en"));
      number.append(make("span", "spoken", " " + unit));
      entry.append(number);
    }
    item.append(entry);
    rows.append(item);
  }
  list.append(rows);
  const left = order.length - list.children.length;
  part("more").hidden = left <= 0;
  part("more").textContent = "Show " + Math.min(left, 2 * ENTRIES) + " more of " + left.toLocaleString("en");
}

// A definition as it is written: text with the meta-tokens in it.
function written(phrase) {
  const out = make("bdi", "written");
  for (const piece of phrase.written) out.append(typeof piece === "string" ? visible(piece) : chip(piece));
  return out;
}

// The text that a phrase stands for, read off one of its places; as it is written where no place shows it
// (it lies beyond what is sent, or is a part of a character).
function textOf(phrase) {
  const start = view.first.get(phrase.m) ?? view.lengths.length;
  const stop = Math.min(start + phrase.length, view.lengths.length);
  const text = view.text.slice(view.starts[start], view.starts[stop]);
  return text || phrase.written.map((piece) => (typeof piece === "string" ? piece : "m" + piece)).join("");
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

// ---- Lighting, holding, stepping

// Every place of m in the text, also inside other phrases: {token, span}, where `span` counts outermost
// occurrences.
function placesOf(m) {
  const inside = new Map();
  const offsetsIn = (outer) => {
    if (outer === m) return [0];
    let found = inside.get(outer);
    if (!found) {
      inside.set(outer, (found = []));
      const inner = view.phrases.get(outer).inner;
      for (let k = 0; k < inner.length; k += 2) {
        for (const offset of offsetsIn(inner[k + 1])) found.push(inner[k] + offset);
      }
    }
    return found;
  };
  const places = [];
  for (let r = 0; r < view.spans.length; r += 3) {
    for (const offset of offsetsIn(view.spans[r + 2])) {
      const token = view.spans[r] + offset;
      if (token < view.lengths.length) places.push({ token, span: r / 3 });
    }
  }
  return places;
}

// Outermost occurrences in the compressed sequence, in order: the k-th belongs to the k-th span of the text.
function outermost() {
  const out = [];
  view.symbols.forEach((s, i) => s < -2 && coveredBy(view.defines, i) < 0 && out.push(i));
  return out;
}

function light(m) {
  if (m === lit) return;
  entryOf(lit)?.setAttribute("aria-pressed", "false");
  element.querySelectorAll(".here").forEach((node) => node.classList.remove("here"));
  lit = m;
  place = -1;
  const phrase = view?.phrases.get(m);
  const on = phrase !== undefined;
  const places = `#${element.id} :is([data-m="${m}"], [data-n="${m}"]):not(.entry)`;
  const entry = `#${element.id} .entry[data-m="${m}"]`;
  sheet.replaceSync(on ? `${places} { ${LIT} } ${entry} { ${LIT_ENTRY} }` : "");
  part("hint").hidden = on;
  part("about").hidden = !on;
  if (!view) return;
  view.places = on ? placesOf(m) : [];
  tick("before", view.lengths.length, view.places.map((p) => p.token));
  tick("after", view.symbols.length, on ? view.symbols.flatMap((s, i) => (s === -3 - m ? [i] : [])) : []);
  if (!on) return;
  part("about-chip").className = "about-chip chip " + hue(m);
  part("about-chip").textContent = "m" + m;
  part("about-chip").dataset.m = m;
  part("about-text").textContent = visible(textOf(phrase).slice(0, QUOTED));
  const saved = phrase.saved.toLocaleString("en");
  part("about-numbers").textContent =
    `${count(phrase.length, "token")} · ${count(phrase.uses, "use")} · saves ${saved}`;
}

function hold(m) {
  light(m);
  held = m !== null;
  part("steps").hidden = !held;
  part("place").textContent = "";
  if (!held) return;
  const rank = view.phrases.get(m).rank;
  if (rank >= part("list").children.length) addEntries(rank + 1);
  const entry = entryOf(m);
  entry.setAttribute("aria-pressed", "true");
  setTabStop(entry);
  reveal(part("entries"), entry);
  part("place").textContent = count(view.places.length, "place");
}

function release() {
  hold(null);
}

// Go to another place of the held phrase, in both panes.
function step(by) {
  const total = view.places.length;
  if (!held || !total) return;
  place = place < 0 ? (by > 0 ? 0 : total - 1) : (place + by + total) % total;
  element.querySelectorAll(".here").forEach((node) => node.classList.remove("here"));
  const { token, span } = view.places[place];
  const inText = view.original.find(token, `:is([data-m="${lit}"], [data-n="${lit}"])[data-at="${token}"]`);
  view.outermost ??= outermost();
  const symbol = view.outermost[span];
  const inSequence = symbol === undefined ? null : view.sequence.find(symbol, `.chip[data-at="${symbol}"]`);
  for (const [pane, node] of [[view.original, inText], [view.sequence, inSequence]]) {
    if (!node) continue;
    node.classList.add("here");
    reveal(pane.box, node);
    // Blocks out of sight have a guessed height; once they are drawn the place may have moved.
    requestAnimationFrame(() => reveal(pane.box, node));
  }
  part("place").textContent = (place + 1).toLocaleString("en") + " of " + total.toLocaleString("en");
}

// Scroll a pane, never the page, until a node in it can be seen.
function reveal(box, node) {
  const outer = box.getBoundingClientRect();
  const inner = node.getBoundingClientRect();
  if (inner.top < outer.top || inner.bottom > outer.bottom) {
    box.scrollTop += inner.top - outer.top - Math.max(0, (outer.height - inner.height) / 3);
  }
}

// The dictionary is one stop of the Tab key; arrow keys move within it.
function setTabStop(entry) {
  element.querySelectorAll('.entry[tabindex="0"]').forEach((other) => (other.tabIndex = -1));
  entry.tabIndex = 0;
}

// ---- Listeners

const metaUnder = (target) => {
  const node = target instanceof Element ? target.closest("[data-m]") : null;
  return node && element.contains(node) ? Number(node.dataset.m) : null;
};

// pointermove, not pointerover: text that scrolls under a resting pointer must not take over.
element.addEventListener("pointermove", (event) => {
  if (held || event.pointerType === "touch" || event.target.closest(".caption")) return;
  const m = metaUnder(event.target);
  if (m === lit) return;
  light(m);
  const entry = m !== null && !event.target.closest("#dictionary") && entryOf(m);
  if (entry) reveal(part("entries"), entry);
});
element.addEventListener("pointerleave", () => held || light(null));
element.addEventListener("focusin", (event) => {
  if (!event.target.matches(".entry")) return;
  setTabStop(event.target);
  if (!held) light(Number(event.target.dataset.m));
});
element.addEventListener("focusout", (event) => {
  if (!held && event.target.matches(".entry")) light(null);
});

element.addEventListener("click", (event) => {
  if (event.target.closest(".previous")) return step(-1);
  if (event.target.closest(".next")) return step(1);
  if (event.target.closest(".release")) return release();
  if (event.target.closest(".more")) return addEntries(part("list").children.length + 2 * ENTRIES);
  if (event.target.closest(".caption") || !getSelection().isCollapsed) return; // a selection is no click
  const entry = event.target.closest(".entry");
  const m = entry ? Number(entry.dataset.m) : metaUnder(event.target);
  if (m === null || (held && m === lit)) return release();
  hold(m);
  if (entry) step(1);
});

element.addEventListener("keydown", (event) => {
  const entry = event.target.closest(".entry");
  const forward = event.key === "ArrowRight" || event.key === "ArrowDown";
  const back = event.key === "ArrowLeft" || event.key === "ArrowUp";
  if (!entry || !(forward || back)) return;
  event.preventDefault();
  if (held) return step(forward ? 1 : -1);
  const item = forward ? entry.parentNode.nextElementSibling : entry.parentNode.previousElementSibling;
  item?.firstElementChild.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && held && element.isConnected) release();
});

// ---- Drawing

function render() {
  if (view) {
    view.original.stop();
    view.sequence.stop();
  }
  hold(null);
  view = props.value ? read(props.value) : null;
  part("view").hidden = !view;
  if (!view) return;
  fillOriginal();
  fillCompressed();
  drawStrips();
  part("list").replaceChildren();
  addEntries(ENTRIES);
  part("entries").scrollTop = 0;

  const some = (shown, all) => (shown < all ? "the first " + shown.toLocaleString("en") + " of " : "");
  const dotted = view.phrases.size ? "; dotted: a phrase written down" : "";
  part("original-count").textContent = some(view.lengths.length, view.tokens) + count(view.tokens, "token");
  part("compressed-count").textContent =
    some(view.symbols.length, view.compressed) + count(view.compressed, "token") + dotted;
  part("dictionary-count").textContent = count(view.phrases.size, "phrase");
  part("view").dataset.tokens = view.tokens;
  part("view").dataset.compressed = view.compressed;
  part("view").dataset.drawn = ++drawn; // for programs that wait
}

watch("value", render);
render();
