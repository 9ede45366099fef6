// The token view: strips, the whole sequence at a glance.

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
