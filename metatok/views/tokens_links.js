// The token view: pointing, lighting, holding, stepping. Two panes and the dictionary say the same; what stands under
// the pointer in one of them is marked in the others.

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

// The style that lights these meta-tokens, wherever they stand.
function paint(metas) {
  if (metas.join() === painted) return;
  painted = metas.join();
  const any = (attributes) => metas.flatMap((m) => attributes.map((name) => `[${name}="${m}"]`)).join(", ");
  const places = `#${element.id} :is(${any(["data-m", "data-n"])}):not(.entry)`;
  const entry = `#${element.id} .entry:is(${any(["data-m"])})`;
  sheet.replaceSync(metas.length ? `${places} { ${LIT} } ${entry} { ${LIT_ENTRY} }` : "");
}

function light(m) {
  if (m === lit) return;
  entryOf(lit)?.setAttribute("aria-pressed", "false");
  unmark("here");
  lit = m;
  place = -1;
  const phrase = view?.phrases.get(m);
  const on = phrase !== undefined;
  paint(on ? [m] : []);
  part("hint").hidden = on;
  part("about").hidden = !on;
  if (!view) return;
  view.places = on ? placesOf(m) : [];
  tick("before", view.lengths.length, view.places.map((p) => p.token));
  tick("after", view.symbols.length, on ? view.symbols.flatMap((s, i) => (s === -3 - m ? [i] : [])) : []);
  if (!on) return;
  part("about-chip").hidden = false;
  part("about-chip").className = "about-chip chip " + hue(m);
  part("about-chip").textContent = "m" + m;
  part("about-chip").dataset.m = m;
  part("about-text").textContent = visible(textOf(phrase).slice(0, QUOTED));
  const saved = phrase.saved.toLocaleString("en");
  part("about-numbers").textContent =
    `${count(phrase.length, "token")} · meta-token used ${count(phrase.uses, "time")} · saves ${saved}`;
}

function hold(m) {
  light(m);
  held = m !== null;
  part("steps").hidden = !held;
  part("place").textContent = "";
  if (!held) return;
  unmark("twin");
  const phrase = view.phrases.get(m);
  // What a phrase is made of can be pointed at, and reached with the Tab key.
  if (phrase.inner.length) part("about-text").replaceChildren(written(phrase, innerButton));
  const rank = view.order.indexOf(phrase);
  if (rank >= part("list").children.length) addEntries(rank + 1);
  const entry = entryOf(m);
  if (entry) {
    entry.setAttribute("aria-pressed", "true");
    setTabStop(entry);
    reveal(part("entries"), entry);
  }
  part("place").textContent = `${count(view.places.length, "place")} in the text`;
}

function innerButton(m) {
  const node = make("button", "chip inner " + hue(m), "m" + m);
  node.type = "button";
  node.dataset.m = m;
  node.setAttribute("aria-label", `m${m}, a phrase in this one`);
  return node;
}

function release() {
  hold(null);
  unmark("twin");
}

// Go to another place of the held phrase, in both panes.
function step(by) {
  const total = view.places.length;
  if (!held || !total) return;
  goTo(place < 0 ? (by > 0 ? 0 : total - 1) : (place + by + total) % total);
}

// Go to a place of the held phrase; `still` is the pane that shall not move.
function goTo(index, still) {
  place = index;
  unmark("here");
  const { token, span } = view.places[index];
  const symbol = view.outermost[span];
  mark("here", view.original, phraseAt(lit, token), still);
  mark("here", view.sequence, symbol === undefined ? null : view.sequence.node(symbol), still);
  part("place").textContent = `place ${(index + 1).toLocaleString("en")} of ${view.places.length.toLocaleString("en")}`;
}

const phraseAt = (m, token) =>
  view.original.find(token, `:is([data-m="${m}"], [data-n="${m}"])[data-at="${token}"]`);

// ---- Pairs: what stands for what

// What a node of a text pane shows and what stands for it in the other pane: {m, item, pane, node, twin, other}.
// `m` is the phrase that it belongs to, or null; `item` the first token of the text that it stands for, or −1.
function pairOf(target) {
  const shown = target.closest(".t, .chip");
  if (!shown || shown.item === undefined) return null;
  const owner = shown.closest("[data-m]");
  const m = owner ? Number(owner.dataset.m) : null;
  if (part("original").contains(shown)) {
    const r = runAt(view.spans, shown.item);
    const covered = m !== null;
    const item = covered ? view.spans[r] : shown.item;
    const node = covered ? phraseAt(m, item) : shown;
    const symbol = covered ? view.outermost[r / 3] : symbolOf(item);
    const twin = symbol === undefined ? null : view.sequence.node(symbol);
    return { m, item, pane: view.original, node, twin, other: view.sequence };
  }
  const item = view.tokenOf[shown.item];
  const inText = item >= 0 && item < view.lengths.length;
  const isMeta = shown.matches(".chip[data-m]");
  const twin = inText ? (isMeta ? phraseAt(m, item) : view.original.node(item)) : null;
  return { m, item, pane: view.sequence, node: shown, twin, other: view.original };
}

// Mark a pair and bring the other one into sight.
function show(pair) {
  unmark("twin");
  mark("twin", pair.pane, pair.node, pair.pane);
  mark("twin", pair.other, pair.twin);
  if (pair.m !== null) return light(pair.m);
  light(null);
  const { item, node } = pair;
  part("hint").hidden = true;
  part("about").hidden = false;
  part("about-chip").hidden = true;
  part("about-text").textContent = visible(node.textContent);
  part("about-numbers").textContent = item < 0 ? "" : tokenNumbers(item);
}

function tokenNumbers(item) {
  let last = item; // tokens that share a character are shown as one
  while (view.lengths[last] === 0) last++;
  const which = last > item ? `tokens ${(item + 1).toLocaleString("en")} to ` : "token ";
  const id = [...ids("token_ids").subarray(item, last + 1)].join(", ");
  return `${which}${(last + 1).toLocaleString("en")} of ${view.tokens.toLocaleString("en")} · id ${id}`;
}

// Hold the phrase of a pair at the place that it stands for.
function holdPair(pair) {
  hold(pair.m);
  const indexOf = (item) => view.places.findIndex(({ token }) => token === item);
  const index = indexOf(pair.item);
  const first = index < 0 ? indexOf(view.first.get(pair.m)) : index; // a token within a definition
  if (first >= 0) goTo(first, pair.pane);
}

function unmark(name) {
  element.querySelectorAll("." + name).forEach((node) => node.classList.remove(name));
}

function mark(name, pane, node, still) {
  if (!node) return;
  node.classList.add(name);
  if (pane === still) return;
  reveal(pane.box, node);
  // Blocks out of sight have a guessed height; once they are drawn the place may have moved.
  requestAnimationFrame(() => reveal(pane.box, node));
}

// Scroll a pane, never the page, until a node in it can be seen.
function reveal(box, node) {
  const outer = box.getBoundingClientRect();
  const inner = node.getBoundingClientRect();
  if (inner.top < outer.top || inner.bottom > outer.bottom) {
    box.scrollTop += inner.top - outer.top - Math.max(0, (outer.height - inner.height) / 3);
  }
}

// ---- A cursor for the keyboard: the token or the phrase that the arrow keys have come to

// The item of a text pane behind or in front of the one at which the cursor stands, or −1.
function nextItem(pane, item, by) {
  if (pane === view.sequence) {
    let i = item + by;
    while (view.symbols[i] === 0) i += by;
    return i < view.symbols.length ? i : -1;
  }
  const covered = (i) => {
    const r = runAt(view.spans, i);
    return r < view.spans.length && view.spans[r] <= i ? r : -1;
  };
  const now = item < 0 ? -1 : covered(item);
  let i = by > 0 && now >= 0 ? view.spans[now + 1] : item + by;
  while (i >= 0 && i < view.lengths.length && covered(i) < 0 && view.lengths[i] === 0) i += by;
  if (i < 0 || i >= view.lengths.length) return -1;
  const r = covered(i);
  return r < 0 ? i : view.spans[r];
}

function moveCursor(box, by) {
  const pane = box === view.original.box ? view.original : view.sequence;
  const item = nextItem(pane, view.cursor?.pane === pane ? view.cursor.item : -1, by);
  if (item < 0) return;
  const pair = pairOf(pane.node(item));
  view.cursor = { pane, item, pair };
  show(pair);
  reveal(pane.box, pair.node);
  const said = pair.m === null ? [part("about-text")] : [part("about-chip"), part("about-text")];
  part("told").textContent = [...said, part("about-numbers")].map((node) => node.textContent).join(", ");
}

// The dictionary is one stop of the Tab key; arrow keys move within it.
function setTabStop(entry) {
  element.querySelectorAll('.entry[tabindex="0"]').forEach((other) => (other.tabIndex = -1));
  entry.tabIndex = 0;
}
