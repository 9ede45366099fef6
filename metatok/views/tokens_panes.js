// The token view: panes. Text first, spans when they are needed.

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
  // Build again what can be seen; what cannot be goes back to plain text, for later.
  function refresh() {
    const outer = box.getBoundingClientRect();
    const old = chunks.filter((chunk) => chunk.built);
    const near = old.map(({ node }) => {
      const inner = node.getBoundingClientRect();
      return inner.bottom > outer.top - outer.height && inner.top < outer.bottom + outer.height;
    });
    old.forEach((chunk, i) => {
      chunk.built = false;
      if (near[i]) return show(chunk);
      chunk.node.replaceChildren(textOf(chunk.from, chunk.to));
      observer.observe(chunk.node);
    });
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
    refresh,
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
    // The node that shows an item; of tokens that share a character, the one that has it.
    node(item) {
      for (const chunk of chunks.slice(at(item), at(item) + 2)) {
        show(chunk);
        for (const node of chunk.node.querySelectorAll(".t, .chip")) if (node.item >= item) return node;
      }
      return null;
    },
  };
}

const BLANK = /[\s\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;
const MARKS = { " ": "·", "\t": "→", "\n": "↵", "\r": "␍" };

// The span of one token. Marks for whitespace and ids are drawn by the style sheet, so that the text stays the text.
function token(item, text, id) {
  const node = make("span", "t", spaces && BLANK.test(text) ? "" : text);
  node.item = item;
  if (numbered) node.dataset[text.endsWith("\n") ? "lineId" : "id"] = id;
  if (spaces && BLANK.test(text)) {
    for (const run of text.split(new RegExp("(" + BLANK.source + ")"))) {
      if (!run) continue;
      if (!BLANK.test(run)) {
        node.append(run);
        continue;
      }
      const blank = make("i", run === " " || run === "\t" ? "blank" : "blank wide", run);
      blank.dataset.mark = MARKS[run] ?? "U+" + hex(run.charCodeAt(0));
      node.append(blank);
    }
  }
  return node;
}

const hex = (code) => code.toString(16).toUpperCase().padStart(4, "0");

// The ids of the tokens that are shown as one: those from the one behind the last that has text, up to item i.
function idsAt(name, lengths, i) {
  let from = i;
  while (from > 0 && lengths[from - 1] === 0) from--;
  return ids(name).subarray(from, i + 1).join("+");
}

function fillOriginal() {
  const { text, starts, spans, phrases, lengths, kept } = view;

  function tokens(parent, from, to) {
    for (let i = from; i < to; i++) {
      if (starts[i + 1] === starts[i]) continue;
      const node = token(i, text.slice(starts[i], starts[i + 1]), numbered && idsAt("token_ids", lengths, i));
      if (kept.length && coveredBy(kept, i) >= 0) node.classList.add("kept");
      parent.append(node);
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
  const { raw, rawStarts, symbols, defines, kept, tokenOf } = view;

  function symbol(i) {
    const s = symbols[i];
    if (s >= 0) {
      if (!s) return null;
      const text = raw.slice(rawStarts[i], rawStarts[i + 1]);
      const node = token(i, text, numbered && idsAt("symbol_ids", symbols, i));
      if (kept.length && coveredBy(kept, tokenOf[i]) >= 0) node.classList.add("kept");
      return node;
    }
    const node = s >= -2 ? make("span", "chip mark", nameOf(s)) : chip(metaOf(s));
    node.item = i;
    if (s < -2) node.dataset.at = i;
    if (numbered) node.dataset.id = ids("symbol_ids")[i];
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
