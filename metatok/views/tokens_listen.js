// The token view: listeners, and drawing when a value comes.

const metaUnder = (target) => {
  const node = target instanceof Element ? target.closest("[data-m]") : null;
  return node && element.contains(node) ? Number(node.dataset.m) : null;
};

let under = null; // the node that was pointed at last
let fixed = false; // does the marked pair stay when the pointer moves on?

// pointermove, not pointerover: text that scrolls under a resting pointer must not take over.
element.addEventListener("pointermove", (event) => {
  const { target } = event;
  if (event.pointerType === "touch" || target === under) return;
  under = target;
  if (held) return paint(target.matches(".inner") ? [lit, metaUnder(target)] : [lit]);
  if (fixed || target.closest(".caption, .tools")) return;
  const pair = target.closest(".text") && pairOf(target);
  if (pair) show(pair);
  else {
    unmark("twin");
    const m = metaUnder(target);
    if (m === null) clear();
    else light(m);
  }
  const entry = lit !== null && !target.closest("#dictionary") && entryOf(lit);
  if (entry) reveal(part("entries"), entry);
});
element.addEventListener("pointerleave", () => {
  under = null;
  if (held || fixed) return;
  unmark("twin");
  clear();
});

// Nothing is lit and nothing is said.
function clear() {
  light(null);
  part("hint").hidden = false;
  part("about").hidden = true;
}

element.addEventListener("focusin", (event) => {
  if (event.target.matches(".inner")) paint([lit, metaUnder(event.target)]);
  if (!event.target.matches(".entry")) return;
  setTabStop(event.target);
  if (!held) light(Number(event.target.dataset.m));
});
element.addEventListener("focusout", (event) => {
  if (event.target.matches(".inner") && held) paint([lit]);
  if (held || !event.target.matches(".entry, .text")) return;
  fixed = false;
  unmark("twin");
  clear();
  view.cursor = null;
});

element.addEventListener("click", (event) => {
  const { target } = event;
  if (target.closest(".walk")) return clickWalk(target);
  if (target.closest(".previous")) return step(-1);
  if (target.closest(".next")) return step(1);
  if (target.closest(".release")) return release();
  if (target.closest(".more")) return addEntries(part("list").children.length + 2 * ENTRIES);
  if (target.closest(".sort")) return sortBy(target.closest(".sort").dataset.by);
  if (target.closest(".tool")) return useTool(target.closest(".tool"));
  if (target.matches(".inner")) {
    hold(metaUnder(target));
    step(1);
    return part("release").focus(); // the button that was clicked is gone
  }
  // A selection is no click.
  if (target.closest(".caption, .find, .keep-selection") || !getSelection().isCollapsed) return;
  fixed = false;
  const entry = target.closest(".entry");
  const pair = target.closest(".text") && pairOf(target);
  const m = entry ? Number(entry.dataset.m) : metaUnder(target);
  if (m === null || (held && m === lit && (place < 0 || !pair || view.places[place].token === pair.item))) {
    release();
    if (m === null && pair) {
      show(pair);
      fixed = true; // a finger cannot point
    }
    return;
  }
  if (pair) return holdPair(pair);
  hold(m);
  if (entry) step(1);
});

element.addEventListener("keydown", (event) => {
  const { target } = event;
  const forward = event.key === "ArrowRight" || event.key === "ArrowDown";
  const back = event.key === "ArrowLeft" || event.key === "ArrowUp";
  if (target.closest(".walk")) return keyWalk(event);
  if (target.matches(".text")) {
    if (event.key === "Enter" && view.cursor?.pair.m != null && !held) holdPair(view.cursor.pair);
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return; // up and down scroll
    event.preventDefault();
    return held ? step(forward ? 1 : -1) : moveCursor(target, forward ? 1 : -1);
  }
  const entry = target.closest(".entry");
  if (!entry || !(forward || back)) return;
  event.preventDefault();
  if (held) return step(forward ? 1 : -1);
  const item = forward ? entry.parentNode.nextElementSibling : entry.parentNode.previousElementSibling;
  item?.firstElementChild.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !element.isConnected) return;
  fixed = false;
  if (held) release();
  else unmark("twin");
  if (!held) clear();
});
part("search").addEventListener("input", () => view && list());

// ---- How it is shown

function useTool(tool) {
  if (tool.matches(".walk-open")) return part("walk").hidden ? openWalk() : closeWalk();
  const on = tool.getAttribute("aria-pressed") !== "true";
  tool.setAttribute("aria-pressed", on);
  if (tool.matches(".stack")) return part("panes").classList.toggle("stacked", on);
  if (tool.matches(".spaces")) spaces = on;
  if (tool.matches(".numbered")) numbered = on;
  if (!view) return;
  view.original.refresh();
  view.sequence.refresh();
  if (held && place >= 0) goTo(place);
}

// What a person selects in the original may be kept raw: the part of the page that does so (keep.js) has the click.
document.addEventListener("selectionchange", () => {
  const selection = getSelection();
  const inside = !selection.isCollapsed && part("original").contains(selection.anchorNode);
  part("keep-selection").classList.toggle("shown", inside && part("original").contains(selection.focusNode));
});

// ---- Drawing

function render() {
  if (view) {
    view.original.stop();
    view.sequence.stop();
  }
  fixed = false;
  hold(null);
  closeWalk();
  view = props.value ? read(props.value) : null;
  part("view").hidden = !view;
  if (!view) return;
  fillOriginal();
  fillCompressed();
  drawStrips();
  part("search").value = "";
  list();
  clear();

  const some = (shown, all) => (shown < all ? "the first " + shown.toLocaleString("en") + " of " : "");
  const dotted = view.phrases.size ? "; dotted: a phrase written down" : "";
  let kept = 0;
  for (let r = 0; r < view.kept.length; r += 3) kept += view.kept[r + 1] - view.kept[r];
  const raw = kept ? `; ${kept.toLocaleString("en")} of them kept raw` : "";
  part("original-count").textContent = some(view.lengths.length, view.tokens) + count(view.tokens, "token") + raw;
  part("compressed-count").textContent =
    some(view.symbols.length, view.compressed) + count(view.compressed, "token") + dotted;
  part("view").dataset.tokens = view.tokens;
  part("view").dataset.compressed = view.compressed;
  part("view").dataset.drawn = ++drawn; // for programs that wait
}

watch("value", render);
render();
