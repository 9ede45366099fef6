"""`import metatok` stays light: what it must not load, shown in a process of its own."""

import subprocess
import sys

HEAVY = ("torch", "transformers", "gradio", "plotly", "pandas", "mistral_common", "tiktoken")


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running `code`."""
    script = f"{code}\nimport sys\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_loads_nothing_heavy():
    assert loaded_by("import metatok").isdisjoint(HEAVY)


def test_the_codec_needs_no_tokenizer_and_no_model():
    code = "import metatok\nc = metatok.Codec(10)\nassert c.decompress(c.compress([0] * 16).ids).tolist() == [0] * 16"
    modules = loaded_by(code)
    assert modules.isdisjoint(HEAVY)
    assert "numba" in modules  # the probe sees what is there


def test_every_public_name_is_there():
    import metatok

    assert all(getattr(metatok, name) is not None for name in metatok.__all__)
    assert set(metatok.__all__) <= set(dir(metatok))
    assert metatok.reader.Reader is not None  # as the docstring of metatok.reader has it
