// Copying and saving, in the browser; see export.py. Gradio runs this file as tokens.py says.

const said = element.querySelector(".said");
const byHand = element.querySelector(".by-hand");
const TYPES = { json: "application/json", csv: "text/csv", mtk: "application/json" };

watch("value", () => {
  said.textContent = "";
  byHand.hidden = true;
  if (!props.value) return; // another result is shown
  const { action, name, text } = JSON.parse(props.value);
  if (action === "copy") copy(text);
  else save(name, text);
});

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text); // only a page from this machine or with https may
    said.textContent = `Copied ${text.length.toLocaleString("en")} characters.`;
  } catch {
    byHand.hidden = false;
    byHand.value = text;
    byHand.select();
    said.textContent = "The browser does not let this page copy. The text is selected here: press Ctrl + C.";
  }
}

function save(name, text) {
  const type = TYPES[name.split(".").pop()];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = "metatok-" + name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  said.textContent = `Saved as metatok-${name}.`;
}
