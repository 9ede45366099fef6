"""Programs that do what a person just did on the page: for `gradio_client`, for curl, and with metatok itself.

Pure functions from the settings to text. Every word of a user is quoted for the language that it gets into; a long
text is read from a file that the snippet names. The tests run each snippet.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from metatok.links import PUBLISHED, REPOSITORY

INSTALL = (
    f"pip install 'metatok[tokenizers] @ git+{REPOSITORY}'"
    if PUBLISHED
    else "in the folder of metatok: pip install -e '.[tokenizers]'"
)
MAX_TEXT = 1_000
"""Characters of a text that is written into a snippet; a longer one is read from `FILE`."""

FILE = "prompt.txt"


Keep = Sequence[tuple[int, int]]  # parts of the text that stay raw, in characters


def client_snippet(text: str | None, tokenizer: str, method: str, meta_tokens: int | None, keep: Keep, url: str) -> str:
    """Python with `gradio_client`: compress, and get the text back from the ids.

    Args:
        text: None for one that is read from `FILE`.
        url: of the page, without a slash at its end.

    >>> print(client_snippet("a b", "mistral:v3", "inline", None, [], "http://127.0.0.1:7860"))  # doctest: +ELLIPSIS
    # pip install gradio_client
    from gradio_client import Client
    <BLANKLINE>
    text = 'a b'
    settings = {'tokenizer': 'mistral:v3', 'method': 'inline', 'meta_tokens': None}
    client = Client('http://127.0.0.1:7860')
    ...
    """
    settings = {"tokenizer": tokenizer, "method": method, "meta_tokens": meta_tokens}
    kept = f"keep={[list(part) for part in keep]}, " if keep else ""
    return f"""\
# pip install gradio_client
from gradio_client import Client

text = {_python_text(text)}
settings = {settings!r}
client = Client({url!r})
result = client.predict(text, {kept}ids=True, **settings, api_name="/compress")
print(result["original_tokens"], "to", result["compressed_tokens"], "tokens")
back = client.predict(result["ids"], **settings, api_name="/decompress")
assert back["text"] == text or not result["round_trip_text"]
"""


def curl_snippet(text: str | None, tokenizer: str, method: str, meta_tokens: int | None, keep: Keep, url: str) -> str:
    """curl in a POSIX shell: one call that asks, one that waits for the answer."""
    settings: dict[str, object] = {"tokenizer": tokenizer, "method": method, "meta_tokens": meta_tokens}
    if keep:
        settings["keep"] = keep
    call = f"curl -s {shlex.quote(f'{url}/gradio_api/call/v2/compress')} -H 'Content-Type: application/json'"
    if text is None:
        reading = f'"text": open("{FILE}", encoding="utf-8", newline="").read()'
        program = f"import json, sys; print(json.dumps({{{reading}, **json.loads(sys.argv[1])}}))"
        ask = f"python3 -c {shlex.quote(program)} \\\n  {shlex.quote(json.dumps(settings))} |\n  {call} -d @-"
    else:
        ask = f"{call} \\\n  -d {shlex.quote(json.dumps({'text': text, **settings}))}"
    answer = shlex.quote(f"{url}/gradio_api/call/compress")
    return f'id=$({ask} |\n  cut -d \'"\' -f 4)\ncurl -sN {answer}/"$id"\n'


def python_snippet(text: str | None, tokenizer: str, method: str, meta_tokens: int | None, keep: Keep) -> str:
    """Python with metatok itself, without this server."""
    kept = f", keep={list(keep)}" if keep else ""
    return f"""\
# {INSTALL}
import metatok

text = {_python_text(text)}
tok = metatok.MetaTokenizer.from_pretrained({tokenizer!r}, meta_tokens={meta_tokens!r}, method={method!r})
c = tok.compress(text{kept})
print(c.original_length, "to", len(c), "tokens")
assert tok.decompress(c.ids) == text or not tok.round_trip(text).exact
"""


def _python_text(text: str | None) -> str:
    return f'open("{FILE}", encoding="utf-8", newline="").read()' if text is None else repr(text)
