// The token view: the walk through find, count, replace, write down, on the first tokens of the text. walk.py makes the
// frames; here they are shown one after another, by themselves or step by step.

const FRAME = 2600; // milliseconds: time to read a sentence
const SHRINK = 450; // milliseconds in which tokens give way to their meta-token
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const walk = { at: 0, timer: 0, playing: false };

function openWalk() {
  if (!view) return;
  part("walk").hidden = false;
  part("walk-open").setAttribute("aria-expanded", "true");
  part("walk-play").hidden = calm.matches; // who wants no motion takes the steps by the buttons
  part("walk-row").style.minHeight = "";
  showFrame(0);
  part("walk-row").style.minHeight = part("walk-row").offsetHeight + "px"; // nothing below shall move
  play(!calm.matches);
  part(calm.matches ? "walk-next" : "walk-play").focus();
}

function closeWalk() {
  play(false);
  part("walk").hidden = true;
  part("walk-open").setAttribute("aria-expanded", "false");
  for (const name of ["walk-row", "walk-book"]) part(name).replaceChildren();
}

function play(on) {
  clearTimeout(walk.timer);
  const last = on && walk.at === view.walk.frames.length - 1;
  walk.playing = on && !last;
  if (walk.playing) walk.timer = setTimeout(advance, FRAME);
  part("walk-play").textContent = walk.playing ? "Pause" : walk.at && last ? "Play again" : "Play";
}

function advance() {
  showFrame(walk.at + 1);
  play(true);
}

function stepWalk(by) {
  play(false);
  showFrame(Math.min(Math.max(walk.at + by, 0), view.walk.frames.length - 1));
}

function clickWalk(target) {
  if (target.closest(".walk-close")) {
    closeWalk();
    part("walk-open").focus();
  } else if (target.closest(".walk-back")) stepWalk(-1);
  else if (target.closest(".walk-next")) stepWalk(1);
  else if (target.closest(".walk-play")) {
    if (!walk.playing && walk.at === view.walk.frames.length - 1) showFrame(0);
    play(!walk.playing);
  }
}

function keyWalk(event) {
  if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    event.preventDefault();
    stepWalk(event.key === "ArrowRight" ? 1 : -1);
  } else if (event.key === "Escape") {
    closeWalk();
    part("walk-open").focus();
  }
}

function showFrame(index) {
  const { frames } = view.walk;
  const forward = index === walk.at + 1;
  walk.at = index;
  const frame = frames[index];
  part("walk-say").textContent = frame.say;
  part("walk-at").textContent = `${index + 1} of ${frames.length}`;
  part("walk-back").disabled = index === 0;
  part("walk-next").disabled = index === frames.length - 1;
  part("walk").dataset.act = frame.act;
  drawBook(frame, frame.act === "write" && forward);
  if (frame.act !== "replace" || !forward || calm.matches) return drawRow(frame);
  // The tokens of each place shrink, then the meta-token stands there.
  const groups = [...part("walk-row").querySelectorAll(".group")];
  const away = { duration: SHRINK, fill: "forwards" };
  const gone = groups.map((node) => node.animate([{}, { fontSize: 0, opacity: 0 }], away).finished);
  Promise.allSettled(gone).then(() => walk.at === index && view.walk.frames[index] === frame && drawRow(frame, true));
}

// A row holds tokens (n), meta-tokens (−1 − m), and groups of them: the places of the frame's phrase, or in the last
// frame what is written down.
function rowNodes(row, frame, arriving, group) {
  const out = document.createDocumentFragment();
  for (const item of row) {
    if (Array.isArray(item)) {
      const node = make("span", group(item));
      node.append(rowNodes(item, frame, arriving, group));
      out.append(node);
    } else if (item >= 0) {
      const text = view.text.slice(view.starts[item], view.starts[item + 1]);
      if (text) out.append(make("span", "t", text.replace(/\n/g, "↵\n").replace(/\t/g, "⇥")));
    } else {
      const node = chip(-1 - item);
      if (arriving && -1 - item === frame.m) node.classList.add("arriving");
      out.append(node);
    }
  }
  return out;
}

function drawRow(frame, arriving) {
  let place = 0;
  const group = frame.act === "end" ? () => "definition" : () => "group " + hue(frame.m);
  part("walk-row").replaceChildren(rowNodes(frame.row, frame, arriving, group));
  part("walk-row").querySelectorAll(".group").forEach((node) => {
    node.style.setProperty("--nth", place++);
    if (frame.act !== "count") return;
    node.append(make("sub", "nth", place));
  });

}

function drawBook(frame, arriving) {
  part("walk-book").replaceChildren(
    ...frame.book.map(([m, symbols], k) => {
      const item = make("li", arriving && k === frame.book.length - 1 ? "arriving" : "");
      item.append(chip(m), " ", rowNodes(symbols, frame, false, () => ""));
      return item;
    }),
  );
}
