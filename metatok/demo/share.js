// The page's state in the part of the address behind the #: `share.py` says what it holds and reads it again.
// An expression: an object of functions that Gradio's events call. SETTINGS is put in by `share.py`.
(() => {
  const { max, all, examples } = SETTINGS;

  // FNV-1a over UTF-16 units, as `fingerprint` in `share.py`: tells which example a text is.
  function fingerprint(text) {
    let hash = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
    return `${text.length}-${hash}`;
  }

  function exampleOf(text) {
    const lengths = Object.values(examples).map((print) => parseInt(print));
    if (!lengths.includes(text.length)) return undefined; // most texts need not be read
    const print = fingerprint(text);
    return Object.keys(examples).find((name) => examples[name] === print);
  }

  function openTab() {
    const tab = document.querySelector("[role=tab][aria-selected=true]");
    return tab ? tab.id.replace(/-tab-button$/, "") : "explore";
  }

  // The choices as a part of an address; with a text of one's own only where it is asked for, and its parts with it.
  function fragment([text, tokenizer, method, pool, model, keep], withText) {
    const where = tokenizer ? { tokenizer } : {}; // none for a folder, which the server refuses in a link
    const state = new URLSearchParams({ tab: openTab(), ...where, method, pool: pool === all ? "all" : pool, model });
    const example = exampleOf(text ?? "");
    if (example) state.set("example", example);
    else if (withText && text) state.set("text", text);
    else return "#" + state;
    if (keep) state.set("keep", JSON.parse(keep).map((part) => part.join("-")).join("."));
    return "#" + state;
  }

  const put = (hash) => history.replaceState(history.state, "", hash);

  return {
    // Keep the address up with the choices. What was pasted stays out of it, and so out of the browser's history,
    // but for what was shared.
    // A link that is shown goes once it no longer says what the page shows.
    follow(link, ...choices) {
      const shared = new URLSearchParams(location.hash.slice(1)).get("text");
      const hash = fragment(choices, shared === choices[0]);
      put(hash);
      return [document.querySelector("#share-link input")?.value.endsWith(hash) ? link : ""];
    },

    // A link to the page as it is: into the address, the clipboard, and as HTML for below the button.
    async share(...choices) {
      const text = choices[0] ?? "";
      const here = location.origin + location.pathname; // a Space puts secrets of the visitor into the query
      let hash = fragment(choices, text.length <= max && (text.isWellFormed?.() ?? true));
      let left = "";
      const own = text && !hash.includes("&example=");
      if (own && (here.length + hash.length > max || !hash.includes("&text="))) {
        hash = fragment(choices, false);
        left = " The text is too long for a link, so the link leaves it out: send it along, to be pasted.";
      }
      if (!choices[1]) left += " A tokenizer in a folder is no part of a link: choose it by hand.";
      put(hash);
      const copied = await (navigator.clipboard?.writeText(here + hash) ?? Promise.reject()).then(
        () => "Copied.",
        () => "Select the link and copy it.",
      );
      const shown = (here + hash).replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
      return [`<label>Link to this page <input readonly value="${shown}"></label><p role="status">${copied}${left}</p>`];
    },

    // When the page opens: what the address says, for the server to judge.
    opened() {
      // Somebody opens a link in a tab that shows the page already.
      addEventListener("hashchange", () => location.hash.includes("=") && location.reload());
      return [location.hash.slice(1)];
    },

    // After the server has put the state in place: compress, unless it said why it did not.
    compress(message) {
      if (location.hash.includes("=") && !message) document.querySelector("#compress-button").click();
      return [];
    },
  };
})()
