// The token view in the browser. tokens.py joins the files tokens_*.js in the order of its SCRIPTS, and Gradio runs
// them as the body of one function (element, trigger, props, server, upload, watch), once for a component;
// `props.value` is the JSON of `view_data` in tokens.py, which describes it. This file: state, and reading.
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
let painted = ""; // the meta-tokens that the style sheet lights
let spaces = false; // is whitespace drawn?
let numbered = false; // are the ids of tokens shown?

// ---- From JSON to arrays that can be searched

function read(json) {
  const data = JSON.parse(json);
  const phrases = new Map();
  data.phrases.forEach(([m, length, uses, saved, written, inner], rank) => {
    phrases.set(m, { m, length, uses, saved, written, inner, rank });
  });
  const spans = Int32Array.from(data.spans);
  const first = firstPlaces({ spans, phrases });
  const defines = Int32Array.from(data.defines);
  const kept = Int32Array.from(data.kept.flatMap((at, i) => (i % 2 ? [at, 0] : [at]))); // as runs
  return {
    ...data,
    phrases,
    spans,
    first,
    defines,
    kept,
    starts: offsets(data.lengths),
    rawStarts: offsets(data.symbols),
    ...links({ symbols: data.symbols, phrases, defines, first }),
  };
}

// The ids of a sequence, which are unpacked when somebody wants to see them.
function ids(name) {
  view.unpacked ??= {};
  return (view.unpacked[name] ??= new Int32Array(Uint8Array.from(atob(view[name]), (c) => c.charCodeAt(0)).buffer));
}

// Where each symbol of the compressed sequence stands in the text: `tokenOf`, the first token of each, −1 for a mark
// or for what stands in no place that is sent; `outermost`, the symbols of the body that are occurrences, in order: the
// k-th belongs to the k-th span of the text; `bodyFrom`, where a dictionary in front ends.
function links({ symbols, phrases, defines, first }) {
  const tokenOf = new Int32Array(symbols.length).fill(-1);
  const outermost = [];
  const width = (s) => (s >= 0 ? 1 : phrases.get(metaOf(s)).length);
  let i = 0;
  if (symbols[0] === -1) {
    // A dictionary in front: each entry is a meta-token and its definition, shown where the phrase first stands.
    for (let r = 0; r < defines.length; r += 3) {
      let token = first.get(defines[r + 2]);
      if (token === undefined) continue;
      tokenOf[defines[r]] = token;
      for (i = defines[r] + 1; i < defines[r + 1]; i++) {
        tokenOf[i] = token;
        token += width(symbols[i]);
      }
    }
    const end = symbols.indexOf(-2);
    i = end < 0 ? symbols.length : end + 1;
  }
  const bodyFrom = i;
  // Read in order. Where the first use defines, its definition follows it and stands for the same tokens.
  const inline = bodyFrom === 0;
  const seen = new Set();
  let token = 0;
  for (; i < symbols.length; i++) {
    const s = symbols[i];
    tokenOf[i] = token;
    if (s < 0 && (!inline || coveredBy(defines, i) < 0)) outermost.push(i);
    if (s < 0 && inline && !seen.has(s)) seen.add(s);
    else token += width(s);
  }
  return { tokenOf, outermost, bodyFrom };
}

// The symbol that says token t: the last one that stands at or before it.
function symbolOf(t) {
  let low = view.bodyFrom;
  let high = view.tokenOf.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (view.tokenOf[middle] <= t) low = middle + 1;
    else high = middle;
  }
  return low - 1;
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
