"""The command `metatok`, run as people run it: a process with files, pipes and exit codes."""

import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import metatok
from metatok.cli import main, table
from metatok.codec import METHODS as CODEC_METHODS
from metatok.summary import summarize
from metatok.terminal import METHODS, Progress, write_file
from metatok.tokenizer import MetaTokenizer

TEXT = b"GET /index.html 200\nGET /style.css 200\nGET /index.html 304\n" * 12

FILES = {
    "empty": b"",
    "text": TEXT,
    "bom": b"\xef\xbb\xbfone\r\ntwo\r\n\0three",
    "latin": b"caf\xe9 caf\xe9 caf\xe9 caf\xe9",
    "binary": bytes(range(256)) * 9,
}


def run(*arguments: Any, stdin: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "metatok", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, **options)


V3 = ("--tokenizer", "mistral:v3")  # a third of a second faster to load than the default


def refused(done: subprocess.CompletedProcess[bytes], words: str, code: int = 1) -> None:
    """One sentence on stderr, nothing on stdout, the right exit code."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("metatok: ")
    assert lines[0].endswith(".")
    assert words in lines[0]
    assert done.stdout == b""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "server.log"
    path.write_bytes(TEXT)
    return path


# There and back


@pytest.mark.parametrize("kind", FILES)
def test_the_same_bytes_come_back(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a file – ünï"
    path.write_bytes(FILES[kind])
    done = run("compress", path, *([] if kind == "text" else V3))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    packed = path.with_name(path.name + ".mtk")
    path.unlink()
    back = run("decompress", packed)
    assert (back.returncode, back.stdout, back.stderr) == (0, FILES[kind], b"")


def test_options_are_carried(log: Path) -> None:
    done = run("compress", log, *V3, "--method", "nested", "--meta-tokens", "all", "-o", "-")
    document = json.loads(done.stdout)
    assert (document["tokenizer"], document["method"], document["meta_tokens"]) == ("mistral:v3", "nested", None)
    assert len(document["ids"]) < document["original_tokens"] / 2
    assert run("decompress", "-", stdin=done.stdout).stdout == TEXT
    assert not Path(f"{log}.mtk").exists(), "-o - writes no file"


def test_pipes() -> None:
    packed = run("compress", "-", *V3, stdin=FILES["binary"])
    assert packed.returncode == 0
    assert run("decompress", "-", stdin=packed.stdout).stdout == FILES["binary"]


@pytest.mark.parametrize(
    "command", [["stats", "-"], ["compress", "-"], ["decompress", "-"], ["ask", "-", "depth of x"]]
)
def test_a_closed_standard_input_gets_a_sentence(command: list[str]) -> None:
    words = [sys.executable, "-m", "metatok", *command]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *words], capture_output=True, timeout=60)
    refused(done, "Standard input is closed")


def test_decompress_to_a_file(log: Path, tmp_path: Path) -> None:
    assert main(["compress", str(log), "-o", str(tmp_path / "packed")]) == 0
    out = tmp_path / "out"
    assert run("decompress", tmp_path / "packed", "-o", out).stdout == b""
    assert out.read_bytes() == TEXT


def test_a_file_is_not_overwritten_unless_forced(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"precious")
    out.chmod(0o640)
    refused(run("compress", log, "-o", out, *V3), "--force")
    assert out.read_bytes() == b"precious"
    refused(run("compress", tmp_path / "missing", "-o", out), "--force")  # found out before any work
    with pytest.raises(FileExistsError):  # and still when the file appeared during the work
        write_file(out, b"", force=False)
    assert out.read_bytes() == b"precious"
    assert run("compress", log, "-o", out, "--force", *V3).returncode == 0
    assert run("decompress", out).stdout == TEXT
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    refused(run("decompress", out, "-o", out, "--force"), "the input itself")
    refused(run("compress", log, "-o", tmp_path), "is a directory")
    refused(run("compress", log, "-o", tmp_path / "no" / "such" / "file"), "there is no folder")
    assert log.read_bytes() == TEXT


def test_a_failure_leaves_no_trace(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"precious")
    broken = tmp_path / "broken.mtk"
    broken.write_bytes(b"{}")
    refused(run("decompress", broken, "-o", out, "-f"), "not a .mtk file")
    assert out.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.mtk", "out", "server.log"]


def test_new_files_obey_the_umask_and_links_are_followed(log: Path, tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        assert main(["compress", str(log)]) == 0
    finally:
        os.umask(old)
    packed = Path(f"{log}.mtk")
    assert stat.S_IMODE(packed.stat().st_mode) == 0o640
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    assert main(["decompress", str(packed), "-o", str(link)]) == 0
    assert link.is_symlink()
    assert (tmp_path / "target").read_bytes() == TEXT


def test_devices_are_written_to(log: Path) -> None:
    assert main(["compress", str(log), "-o", "/dev/null"]) == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode), "not replaced by a file"


def test_decompress_with_the_tokenizer_under_another_name(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    (tmp_path / "old").mkdir()
    tokenizer.save(str(tmp_path / "old" / "tokenizer.json"))
    log = tmp_path / "log"
    log.write_bytes(TEXT)
    assert main(["compress", str(log), "--tokenizer", str(tmp_path / "old")]) == 0
    (tmp_path / "old").rename(tmp_path / "new")
    refused(run("decompress", f"{log}.mtk"), "old")
    out = tmp_path / "out"
    assert main(["decompress", f"{log}.mtk", "--tokenizer", str(tmp_path / "new"), "-o", str(out)]) == 0
    assert out.read_bytes() == TEXT


# What is refused


def test_inputs_that_cannot_be_read(tmp_path: Path) -> None:
    for command in ("compress", "decompress", "stats"):
        refused(run(command, tmp_path / "missing"), "missing: No such file or directory")
        refused(run(command, tmp_path), "Is a directory")
        refused(run(command, ""), "The name of a file is empty")
    for command in ("compress", "decompress"):
        refused(run(command, "-", "-o", ""), "The name of a file is empty")
    refused(run("decompress", tmp_path / "a\nb"), r"a\nb: No such file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission(log: Path) -> None:
    log.chmod(0)
    refused(run("compress", log), "Permission denied")


def test_damaged_files(log: Path, tmp_path: Path) -> None:
    main(["compress", str(log), *V3])
    good = Path(f"{log}.mtk").read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    out = tmp_path / "out"
    for damaged in (good[: len(good) // 2], bytes(flipped), TEXT):
        refused(run("decompress", "-", "-o", out, stdin=damaged), "standard input: ")
        assert not out.exists()


def test_limit_of_the_restored_size(log: Path) -> None:
    packed = run("compress", log, "-o", "-", *V3).stdout
    refused(run("decompress", "-", "--max-length", len(TEXT) - 1, stdin=packed), f"--max-length {len(TEXT)}")
    assert run("decompress", "-", "--max-length", len(TEXT), stdin=packed).stdout == TEXT


@pytest.mark.parametrize("name", ["mistral:v99", "no/such/thing", "tiktoken:none", "a\nb"])
def test_tokenizers_that_cannot_be_had(name: str, log: Path) -> None:
    refused(run("compress", log, "--tokenizer", name), "mistral:tekken" if "tiktoken" not in name else "tiktoken:")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["zip"],
        ["compress"],
        ["compress", "FILE", "--method", "zip"],
        ["compress", "FILE", "--meta-tokens", "-1"],
        ["compress", "FILE", "--meta-tokens", "many"],
        ["compress", "FILE", "--meta-tokens", "9" * 5000],
        ["decompress", "FILE", "--max-length", "1" * 19],
        ["decompress", "FILE", "--max-length", "1.5"],
        ["stats", "FILE", "--method", "inline,zip"],
        ["stats", "FILE", "--architecture", "none"],
    ],
)
def test_bad_usage(arguments: list[str], log: Path) -> None:
    done = run(*[str(log) if argument == "FILE" else argument for argument in arguments])
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"usage: metatok")
    assert b"Traceback" not in done.stderr


def test_version_and_help() -> None:
    assert run("--version").stdout.decode() == f"metatok {metatok.__version__}\n"
    shown = run("--help").stdout.decode()
    assert all(command in shown for command in ("compress", "decompress", "stats", "demo"))


# Endings


def test_closed_pipe_is_quiet(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(os.urandom(300_000))
    main(["compress", str(path), *V3])
    for command in (["decompress", f"{path}.mtk"], ["stats", "--json", str(path), *V3], ["--help"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "metatok", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == (141 if command != ["--help"] else process.returncode)


def test_full_disk_is_one_sentence(log: Path) -> None:
    with open("/dev/full", "wb") as full:
        for command in (["stats", log, *V3], ["compress", log, "-o", "-", *V3]):
            process = [sys.executable, "-m", "metatok", *map(str, command)]
            done = subprocess.run(process, stdout=full, stderr=subprocess.PIPE, timeout=60)
            assert done.returncode == 1
            assert done.stderr == b"metatok: standard output: No space left on device.\n"


def test_interrupt_is_quiet(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "metatok", "compress", str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    with open(pipe, "wb"):  # returns when the command has opened the other end, and is about to wait for input
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (130, b"", b"")
    assert list(tmp_path.iterdir()) == [pipe]


# Numbers


def test_stats_json_is_the_summary(log: Path, tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(FILES["latin"])
    done = run("stats", log, binary, "--json", "--method", "inline,ltsc", "--architecture", "Llama-3.1-8B")
    assert (done.returncode, done.stderr) == (0, b"")
    rows = json.loads(done.stdout)
    assert [(row["file"], row["method"]) for row in rows] == [
        (str(path), method) for path in (log, binary) for method in ("inline", "ltsc")
    ]
    first = dict(rows[0])
    expected = summarize(MetaTokenizer.from_pretrained("mistral:tekken"), TEXT.decode())
    assert {key: first.pop(key) for key in expected} == expected
    compute = first.pop("compute_saving")
    assert expected["saving"] < compute < expected["quadratic_saving"]
    assert first == {"file": str(log), "architecture": "Llama-3.1-8B", "bytes": len(TEXT), "carried_bytes": 0}
    assert (rows[2]["bytes"], rows[2]["carried_bytes"], rows[2]["exact"]) == (19, 16, True)


def test_stats_table_and_standard_input(log: Path) -> None:
    done = run("stats", "-", "--method", "all", *V3, stdin=TEXT)
    lines = done.stdout.decode().splitlines()
    assert lines[0].split()[:5] == ["file", "method", "before", "after", "saving"]
    assert [line.split()[2] for line in lines[1:]] == list(METHODS)
    assert all(line.startswith("standard input") and line.count("yes") == 2 for line in lines[1:])
    assert len(set(map(len, lines[1:]))) == 1, "columns are aligned"


def test_stats_goes_on_after_a_file_that_is_refused(log: Path, tmp_path: Path) -> None:
    done = run("stats", tmp_path / "missing", log, "--json", *V3)
    assert done.returncode == 1
    assert [row["file"] for row in json.loads(done.stdout)] == [str(log)]
    assert done.stderr.decode() == f"metatok: {tmp_path / 'missing'}: No such file or directory.\n"
    nothing = run("stats", tmp_path / "missing", "--json", *V3)
    assert (nothing.returncode, json.loads(nothing.stdout)) == (1, [])


def test_stats_says_where_a_text_does_not_come_back() -> None:
    row = dict.fromkeys(["original_tokens", "compressed_tokens", "saving", "quadratic_saving", "saving_of_possible"], 0)
    change = "At character 0 the text has 'A' and comes back with 'a'."
    shown = table([{**row, "file": "f", "method": "flat", "phrases": [], "exact": True}
                   | {"round_trip_text": False, "change": change}])  # fmt: skip
    assert shown.endswith(f"no: {change}")


def test_stats_in_a_terminal_without_unicode(tmp_path: Path) -> None:
    path = tmp_path / "ünï\x1b[31m"
    path.write_bytes(TEXT)
    done = run("stats", path, *V3, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert rb"\xfcn\xef\x1b[31m" in done.stdout
    assert b"\x1b" not in done.stdout, "a file name cannot command the terminal"


def test_a_name_that_no_file_can_have(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["compress", "a\0b"], ["stats", "a\0b"]):  # from a shell it cannot come
        assert main(arguments) == 1
        assert "a\\x00b" in capsys.readouterr().err


def test_help_in_a_terminal_without_unicode() -> None:
    done = run("stats", "--help", env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"mistral:\u2026" in done.stdout


def test_choices_are_those_of_the_codec() -> None:
    assert sorted(METHODS) == sorted(CODEC_METHODS)


# The progress bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_appears_only_in_a_terminal_and_only_when_it_takes_long() -> None:
    terminal, slow, pipe = Terminal(), Terminal(), io.StringIO()
    with Progress(2, terminal, delay=30) as progress:
        progress.step("encode")
    with Progress(2, pipe, delay=0) as progress:
        progress.step("encode")
        time.sleep(0.1)
    assert terminal.getvalue() == pipe.getvalue() == ""
    with Progress(2, slow, delay=0) as progress:
        progress.step("encode")
        progress.step("com\npress")
        deadline = time.monotonic() + 10
        while "press" not in slow.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert r"com\npress:  50%" in slow.getvalue()
    assert slow.getvalue().endswith("\r"), "it clears itself away"


# The app


def test_demo_without_gradio_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "gradio.py").write_text("raise ModuleNotFoundError('No module named gradio', name='gradio')")
    done = run("demo", env=os.environ | {"PYTHONPATH": str(tmp_path)})
    refused(done, "pip install 'metatok[demo]'")


def test_starting_up_loads_nothing_heavy() -> None:
    code = "import sys, metatok.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout.split()
    assert {"numba", "torch", "transformers", "gradio", "tiktoken", "tqdm"}.isdisjoint(loaded)
