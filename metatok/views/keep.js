// Parts that stay raw, in the browser; see keep.py. Gradio runs this file as tokens.py says.
//
// A part moves with the text around it and is let go when its own text is edited, for then nobody knows what was meant.

const root = element.querySelector(".keep");
const part = (name) => root.querySelector("." + name);
const box = () => document.querySelector(root.dataset.box);
const pane = () => document.querySelector(root.dataset.pane);
const oneLineEnd = (text) => text.replace(/\r\n?/g, "\n"); // as a text box has it
const EXCERPT = 60;

let ranges = []; // [start, stop], in order and apart
let base = ""; // the text for which they hold

// What is selected: in the original, else in the text box. A sentence where nothing can be taken.
function selected() {
  const selection = getSelection();
  const inPane = (node) => node && pane()?.contains(node);
  if (!selection.isCollapsed && inPane(selection.anchorNode) && inPane(selection.focusNode)) {
    if (!box().value.startsWith(oneLineEnd(pane().textContent))) {
      return "The text was edited since it was compressed: compress it first, or select in the text box.";
    }
    const range = selection.getRangeAt(0);
    const before = document.createRange();
    before.selectNodeContents(pane());
    before.setEnd(range.startContainer, range.startOffset);
    const start = oneLineEnd(before.toString()).length;
    return [start, start + oneLineEnd(range.toString()).length];
  }
  const { selectionStart, selectionEnd } = box();
  if (selectionStart < selectionEnd) return [selectionStart, selectionEnd];
  return "Nothing is selected. Select a part of the text in the box, or in the original below, then press this button.";
}

function add() {
  const range = selected();
  if (typeof range === "string") return say(range);
  const all = [...ranges, range].sort(([a], [b]) => a - b);
  const apart = [];
  for (const [start, stop] of all) {
    const last = apart.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], stop);
    else apart.push([start, stop]);
  }
  base = box().value;
  getSelection().removeAllRanges();
  store(apart, "These parts stay raw.");
}

function remove(index) {
  store(ranges.filter((_, i) => i !== index), "The part is compressed again.");
  (root.querySelectorAll(".remove")[Math.min(index, ranges.length - 1)] ?? part("add")).focus();
}

function store(next, sentence) {
  ranges = next;
  props.value = ranges.length ? JSON.stringify(ranges) : "";
  draw();
  say(sentence);
  trigger("input");
}

// The text has become another one: a part in front of what was edited stays, one behind it moves.
root.move = (text) => {
  const now = oneLineEnd(text ?? "");
  if (!ranges.length || now === base) return;
  const most = Math.min(base.length, now.length);
  let front = 0;
  while (front < most && base.charCodeAt(front) === now.charCodeAt(front)) front++;
  let back = 0;
  while (back < most && base.charCodeAt(base.length - 1 - back) === now.charCodeAt(now.length - 1 - back)) back++;
  const by = now.length - base.length;
  const moved = ranges.flatMap(([start, stop]) => {
    if (stop <= front) return [[start, stop]];
    return start >= base.length - back ? [[start + by, stop + by]] : [];
  });
  const lost = ranges.length - moved.length;
  ranges = moved;
  base = now;
  props.value = ranges.length ? JSON.stringify(ranges) : "";
  draw();
  if (lost) say((lost === 1 ? "A part was edited and is" : lost + " parts were edited and are") + " no longer kept raw.");
};

function draw() {
  const rows = ranges.map(([start, stop], index) => {
    const row = document.createElement("li");
    const text = base.slice(start, Math.min(stop, start + EXCERPT)).replace(/\n/g, "↵");
    const shown = document.createElement("bdi");
    shown.textContent = text + (stop - start > EXCERPT ? "…" : "");
    const size = document.createElement("span");
    size.className = "size";
    size.textContent = (stop - start).toLocaleString("en") + (stop - start === 1 ? " character" : " characters");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "remove";
    button.textContent = "×";
    button.setAttribute("aria-label", "compress this part again: " + shown.textContent);
    button.addEventListener("click", () => remove(index));
    row.append(shown, size, button);
    return row;
  });
  part("parts").replaceChildren(...rows);
  root.dataset.parts = ranges.length;
}

function say(sentence) {
  part("said").textContent = sentence;
}

// A button must not take the selection away before it is read; the one above the original belongs to the token view.
const BUTTON = ".keep .add, .keep-selection";
document.addEventListener("pointerdown", (event) => event.target.closest?.(BUTTON) && event.preventDefault());
document.addEventListener("click", (event) => event.target.closest?.(BUTTON) && element.isConnected && add());
watch("value", () => {
  if (props.value === (ranges.length ? JSON.stringify(ranges) : "")) return;
  ranges = props.value ? JSON.parse(props.value) : [];
  base = box()?.value ?? "";
  draw();
  say("");
});
