"""The evaluation: its shape, the same prompts in every form, intervals that are right; its table; its commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from metatok.codec import METHODS  # noqa: E402
from metatok.reader import Reader, report  # noqa: E402
from metatok.reader import forms as reader_forms  # noqa: E402
from metatok.reader.batch import answers, self_information, wrong_when_expanded  # noqa: E402
from metatok.reader.evaluate import (  # noqa: E402
    ANSWER_TOKENS,
    bootstrap,
    described,
    draw,
    evaluate,
    expand_again,
    mean_and_interval,
)
from metatok.reader.export import PHRASE_FILE  # noqa: E402
from metatok.reader.forms import baselines, forms_of, lines, words  # noqa: E402
from metatok.reader.report import CLOSE, OPEN, insert, markdown, text  # noqa: E402
from metatok.tasks.base import get, samples  # noqa: E402

ROOT = Path(__file__).parents[1]
LOSSY = ("selective_context", "llmlingua", "random", "truncation")
N = 6


@pytest.fixture(scope="module")
def reader(tiny_reader: Path) -> Reader:
    return Reader.from_pretrained(tiny_reader)


@pytest.fixture(scope="module")
def results(reader: Reader) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")  # LLMLingua-2 is not looked for
        found = evaluate(reader, "tree", N, seed=4)
    return json.loads(json.dumps(found))  # it is plain data


def test_the_shape(results: dict[str, Any]) -> None:
    assert (results["task"], results["n"], results["seed"]) == ("tree", N, 4)
    assert results.keys() >= {"machine", "reader", "by", "date", "versions", "notes"}
    forms = results["results"]
    lossy = [f"{name}@{method}" for name in LOSSY for method in ("ltsc", "inline")]
    assert list(forms) == ["raw", *METHODS, "ltsc/plain", "inline/plain", *lossy]
    for name, form in forms.items():
        assert 0 <= form["ci95"][0] <= form["exact_match"] <= form["ci95"][1] <= 1
        assert form["tokens"] > 0
        assert 0 < form["prefill_ms"] < form["total_ms"]
        assert ("gap" in form) == (name != "raw")
        assert ("expand_exact" in form) == ("expand_tokens" in form) == (name in METHODS)
        assert 0 <= form.get("expand_exact", 0) <= form.get("expand_tokens", 0) <= 1
        if name != "raw":
            assert form["gap"] == pytest.approx(forms["raw"]["exact_match"] - form["exact_match"], abs=1e-4)
            assert form["gap_ci95"][0] <= form["gap"] <= form["gap_ci95"][1]
    for name in lossy:
        assert forms[name]["tokens"] == forms[name.partition("@")[2]]["tokens"]
    assert forms["inline"]["tokens"] < forms["ltsc"]["tokens"] < forms["raw"]["tokens"]
    for groups in results["by"].values():
        assert sum(group["n"] for group in groups.values()) == N
        for name in forms:
            mean = sum(group["n"] * group["exact_match"][name] for group in groups.values()) / N
            assert mean == pytest.approx(forms[name]["exact_match"], abs=1e-3)
    assert results["by"]["seen"].keys() == {"seen", "unseen"}


def test_the_same_seed_gives_the_same_scores(reader: Reader, results: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        again = evaluate(reader, "tree", N, seed=4)
    for name, form in results["results"].items():
        measured = {key: value for key, value in form.items() if not key.endswith("_ms")}
        assert measured == {key: again["results"][name][key] for key in measured}
    assert again["by"] == results["by"]


def test_what_is_written_out_can_be_measured_again_alone(reader: Reader, results: dict[str, Any]) -> None:
    assert results["expand"] == {"reader": described(reader), "date": results["date"]}
    forms = results["results"]
    other = {name: {k: v for k, v in form.items() if k != "expand_exact"} for name, form in forms.items()}
    other["ltsc"]["expand_tokens"] = 2.0
    earlier = {**results, "results": other, "date": "2020-01-01", "command": "it"}
    del earlier["expand"]  # as of before it was measured apart
    assert expand_again(reader, earlier) == {**results, "date": "2020-01-01", "command": "it"}
    assert other["ltsc"]["expand_tokens"] == 2.0  # left as it was


def test_a_writer_is_measured_with_what_it_knows(reader: Reader, results: dict[str, Any], tmp_path: Path) -> None:
    """Here one without phrases, so that it writes something else than the reader, from prompts without phrases."""
    both = shutil.copytree(reader.folder, tmp_path / "both")
    shutil.copytree(reader.folder, both / "writer", ignore=shutil.ignore_patterns(PHRASE_FILE))
    found = expand_again(Reader.from_pretrained(both), results)
    alone = Reader.from_pretrained(both / "writer")
    measured = {key: results["results"][key] for key in METHODS}
    assert found["reader"] == results["reader"]
    assert found["expand"] == {"reader": described(alone), "date": results["date"]}
    assert found["expand"]["reader"]["name"] == "both/writer"
    picked, _ = draw(alone, get("tree"), N, seed=4)
    for method in measured:
        prompts = [alone.prepare(sample.prompt, method) for sample in picked]
        wrong, asked_for = sum(wrong_when_expanded(alone, prompts)), 0
        for p in prompts:
            asked_for += len(alone.written(p)) + 1 - sum(alone.settled(p, alone.written(p)))
        assert found["results"][method]["expand_tokens"] == pytest.approx(1 - wrong / asked_for, abs=1e-5)
    assert any(found["results"][m]["expand_tokens"] != before["expand_tokens"] for m, before in measured.items())


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": "chess"},
        {"task": None},
        {"n": 1},
        {"n": 2.5},
        {"n": "6"},
        {"seed": -1},
        {"seed": None},
        {"results": 3},
        {"results": {}},
        {"reader": None},
        {"expand": {}},
        {"by": None},
        {"notes": 3},
    ],
    ids=str,
)
def test_what_is_no_evaluation_is_not_measured_again(
    reader: Reader, results: dict[str, Any], wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="the JSON of an evaluation"):
        expand_again(reader, {**results, **wrong})


@pytest.mark.parametrize("wrong", [None, [], {}, "chess", {"task": "tree"}])
def test_nor_is_anything_else(reader: Reader, wrong: Any) -> None:
    with pytest.raises(ValueError, match="the JSON of an evaluation"):
        expand_again(reader, wrong)


def test_answers_of_others_are_not_measured_again(reader: Reader, results: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"answers are of weights 0123, and the reader's are \w{16}"):
        expand_again(reader, {**results, "reader": {**results["reader"], "weights": "0123"}})
    with pytest.raises(ValueError, match=r"about other prompts .* by ltsc they have [\d.]+ tokens on average"):
        expand_again(reader, {**results, "seed": 5})


def test_an_evaluation_can_be_asked_again_in_part(reader: Reader, results: dict[str, Any]) -> None:
    """The same prompts, answers and weights, by the functions that `evaluate` calls."""
    task = get("tree")
    picked, left_out = draw(reader, task, N, seed=4)
    assert (len(picked), left_out) == (N, 0)
    said = answers(reader, [(reader.prepare(s.prompt, "inline"), s.question) for s in picked], ANSWER_TOKENS)
    right = [task.score(answer, s.answer)["exact_match"] for answer, s in zip(said, picked, strict=True)]
    assert np.mean(right) == pytest.approx(results["results"]["inline"]["exact_match"], abs=1e-5)
    assert described(reader) == results["reader"]


def test_a_single_prompt_has_no_interval(reader: Reader) -> None:
    with pytest.raises(ValueError, match="2 prompts or more"):
        evaluate(reader, "tree", 1, seed=0)


def test_forms_say_the_same(reader: Reader) -> None:
    """Compressed forms expand to the raw one; lossy ones are a part of it."""
    sample = next(samples(get("tree"), seed=9))
    forms = forms_of(reader, sample.prompt, baselines(reader, None))
    raw = forms["raw"].prompt.ids
    for method in METHODS:
        codec = reader.tokenizer.using(method=method).codec
        assert (codec.decompress(forms[method].prompt.ids) == raw).all()
    assert (forms["ltsc/plain"].prompt.ids == forms["ltsc"].prompt.ids).all()
    assert len(forms["ltsc/plain"].prompt.phrases) == 0 < len(forms["ltsc"].prompt.phrases)
    for name, form in forms.items():
        assert form.prompt.raw_tokens == len(raw)
        if "@" in name:
            rest = iter(raw.tolist())
            assert all(token in rest for token in form.prompt.ids.tolist()), name


def test_a_prompt_is_judged_once_where_that_is_remembered(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []

    def counted(reader: Reader, ids: Sequence[int]) -> NDArray[np.float64]:
        judged.append(len(ids))
        return self_information(reader, ids)

    monkeypatch.setattr(reader_forms, "self_information", counted)
    samples_of = samples(get("tree"), seed=9)
    texts = [next(samples_of).prompt for _ in range(2)]
    lengths = [len(reader.prepare(prompt).ids) for prompt in texts]
    alone = [forms_of(reader, prompt, baselines(reader, None)) for prompt in texts]
    assert judged == [length for length in lengths for _ in range(2)]  # for selective context at two lengths
    judged.clear()
    lossy = baselines(reader, None, remember=True)
    for prompt, made in zip(texts, alone, strict=True):
        remembered = forms_of(reader, prompt, lossy)
        assert {name: form.prompt.ids.tolist() for name, form in remembered.items()} == {
            name: form.prompt.ids.tolist() for name, form in made.items()
        }
    assert judged == lengths


def test_words_and_lines_for_the_baselines(reader: Reader) -> None:
    ids = reader.tokenizer.encode("treeNode < parser\nb: c")
    pieces = reader.tokenizer.pieces(ids)

    def joined(numbers: np.ndarray) -> list[str]:
        return ["".join(p for p, n in zip(pieces, numbers, strict=True) if n == k) for k in range(numbers[-1] + 1)]

    assert joined(words(reader, ids)) == ["treeNode", " < ", "parser", "\n", "b", ": ", "c"]
    assert [line.strip() for line in joined(lines(reader, ids))] == ["treeNode < parser", "b: c"]


def test_intervals_against_theory() -> None:
    rng = np.random.default_rng(0)
    scores = (rng.random(1000) < 0.9).astype(float)
    mean, (low, high) = mean_and_interval(scores, seed=1)
    half = 1.96 * np.sqrt(mean * (1 - mean) / 1000)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.003)
    # Paired: two forms that are right on the same prompts have a gap of exactly 0, whatever the resample.
    same = bootstrap(np.stack([scores, scores, 1 - scores]), seed=2)
    assert (same[0] == same[1]).all()
    assert np.allclose(same[0] + same[2], 1)


def test_a_missing_package_is_noticed_before_anything_is_asked(
    tiny_reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*arguments: Any, **options: Any) -> None:
        raise AssertionError("asked")

    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    monkeypatch.setattr("metatok.reader.evaluate.Portions", asked)
    with pytest.raises(ModuleNotFoundError, match="rapidfuzz"):
        evaluate(Reader.from_pretrained(tiny_reader), "repo", 2, 4)


# ---- The table


def test_tables_hold_the_figures(results: dict[str, Any]) -> None:
    shown = markdown({**results, "command": "metatok evaluate"})
    assert shown.count("\n| ") == len(results["results"]) + 1
    assert f"| {results['results']['raw']['tokens']:,.0f} |" in shown
    assert f"{100 * results['results']['inline']['exact_match']:.1f} (" in shown
    assert "Task tree, 6 prompts, seed 4" in text(results)
    assert "Times: means of 6 of the prompts. LLMLingua-2 is left out" in shown
    assert text(results).count("M parameters") == 1
    writer = {**results["reader"], "name": "it/writer", "weights": "0123"}
    other = {**results, "expand": {"reader": writer, "date": "2020-01-01"}}
    assert re.search(r"; written out by it/writer \(0.2 M parameters, weights 0123\), 2020-01-01; ", text(other))
    for aspect in ("kind", "serialization"):
        assert all(f"{aspect} {value}" in text(results) for value in results["by"][aspect])


def test_tables_go_between_the_marks(results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    (tmp_path / "reader-tree.json").write_text(json.dumps({**results, "command": "metatok evaluate"}))
    document = tmp_path / "README.md"
    document.write_text(f"before\n\n{OPEN}\nstale\n{CLOSE}\n\nafter\n")
    assert report.main([str(document)]) == 0
    once = document.read_text()
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "stale" not in once
    assert "| raw |" in once
    assert report.main([str(document)]) == 0
    assert document.read_text() == once
    with pytest.raises(ValueError, match="once each"):
        insert("no marks", "table")
    assert report.main([str(tmp_path / "missing")]) == 1


# ---- The commands


def run(*arguments: Any, reader: Path | str = "", stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "metatok", *map(str, arguments)]
    environment = os.environ | {"METATOK_READER": str(reader), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, input=stdin, capture_output=True, timeout=600, env=environment, cwd=ROOT)


def refused(done: subprocess.CompletedProcess[bytes], words: str, code: int = 1) -> None:
    assert (done.returncode, done.stdout) == (code, b""), done.stderr
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    if code == 1:
        assert done.stderr.startswith(b"metatok: ")
        assert done.stderr.count(b"\n") == 1


def test_ask_on_the_command_line(tiny_reader: Path, reader: Reader, tmp_path: Path) -> None:
    sample = next(samples(get("tree"), seed=9))
    path = tmp_path / "tree.txt"
    path.write_text(sample.prompt)
    done = run("ask", path, sample.question, reader=tiny_reader)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == reader.ask(sample.prompt, sample.question).read() + "\n"
    done = run(
        "ask", "-", sample.question, "--method", "inline", "--json", "--reader", tiny_reader, stdin=path.read_bytes()
    )
    answer = json.loads(done.stdout)
    expected = reader.ask(sample.prompt, sample.question, "inline")
    assert answer["answer"] == expected.read()
    assert (answer["tokens"], answer["raw_tokens"]) == (expected.statistics.tokens, expected.statistics.raw_tokens)


def test_ask_refuses_with_a_sentence(tiny_reader: Path, tmp_path: Path) -> None:
    refused(run("ask", tmp_path / "missing", "x", reader=tiny_reader), "No such file")
    refused(run("ask", "-", "x", reader=tiny_reader, stdin=b"caf\xe9"), "not UTF-8 text (byte 3)")
    refused(run("ask", "-", " ", reader=tiny_reader, stdin=b"a < b"), "The question is empty")
    refused(run("ask", "-", "x", reader=tmp_path, stdin=b"a < b"), "METATOK_READER")
    refused(run("ask", "-", "x", "--method", "zip", stdin=b"a < b"), "invalid choice", code=2)


def test_evaluate_on_the_command_line(tiny_reader: Path, tmp_path: Path) -> None:
    out = tmp_path / "reader-tree.json"
    done = run("evaluate", "--n", 2, "--seed", 1, "--json", "-o", out, reader=tiny_reader)
    assert (done.returncode, done.stderr) == (0, b"")
    found = json.loads(done.stdout)
    assert found == json.loads(out.read_text())
    assert found["command"] == f"metatok evaluate --task tree --n 2 --seed 1 --reader {tiny_reader.name} --json"
    earlier = json.loads(out.read_text())
    earlier["results"]["ltsc"]["expand_tokens"] = 2.0
    (tmp_path / "earlier").write_text(json.dumps(earlier))
    again = run("evaluate", "--answers", tmp_path / "earlier", "--json", reader=tiny_reader)
    assert json.loads(again.stdout) == found
    refused(run("evaluate", "--dtype", "int8"), "invalid choice: 'int8'", code=2)
    refused(run("evaluate", "--answers", out, "--n", 2), "--answers has its own --task, --n and --seed", code=2)
    refused(run("evaluate", "--answers", "", reader=tiny_reader), "The name of a file is empty")
    refused(run("evaluate", "--n", 2, "-o", "", reader=tiny_reader), "The name of a file is empty")
    refused(run("evaluate", "--answers", tmp_path / "missing", reader=tiny_reader), "No such file")
    (tmp_path / "text").write_text("no JSON")
    refused(run("evaluate", "--answers", tmp_path / "text", reader=tiny_reader), "holds no JSON")
    (tmp_path / "text").write_text("[]")
    refused(run("evaluate", "--answers", tmp_path / "text", reader=tiny_reader), "the JSON of an evaluation")
    refused(run("evaluate", "--n", 1, reader=tiny_reader), "2 prompts or more")
    refused(run("evaluate", "--task", "chess", reader=tiny_reader), "no task 'chess'", code=2)
    refused(run("evaluate", "-o", tmp_path / "no" / "file", reader=tiny_reader), "there is no folder")
    refused(run("evaluate", "-o", tmp_path, reader=tiny_reader), "is a directory")


def test_the_precision_is_part_of_the_results(tiny_reader: Path, tmp_path: Path) -> None:
    options = ["--n", 2, "--seed", 1, "--dtype", "bfloat16"]
    done = run("evaluate", *options, "-o", tmp_path / "out", reader=tiny_reader)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b", bfloat16); " in done.stdout.splitlines()[0]
    found = json.loads((tmp_path / "out").read_bytes())
    assert found["reader"]["dtype"] == found["expand"]["reader"]["dtype"] == "bfloat16"
    assert found["command"].endswith("--dtype bfloat16 --json")
    refused(
        run("evaluate", "--answers", tmp_path / "out", reader=tiny_reader), "computed in bfloat16, and the reader's"
    )

    ask = ["ask", "-", "parent of a", "--json"]
    runs = [run(*ask, *more, reader=tiny_reader, stdin=b"a < b") for more in ([], options[-2:])]
    wide, narrow = (json.loads(done.stdout) for done in runs)
    each = [of["kv_cache_bytes"] // (of["input_tokens"] + of["answer_tokens"] - 1) for of in (wide, narrow)]
    assert each[1] == each[0] // 2


def test_train_hands_over_to_the_trainer(tmp_path: Path) -> None:
    assert b"usage" in run("train", "--help").stdout
    refused(run("train"), "required", code=2)
    refused(run("train", tmp_path / "missing.toml", tmp_path / "run"), "missing.toml: No such file")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("layers = 3\n")
    refused(run("train", wrong, tmp_path / "run"), "Unknown setting 'layers'")
    refused(run("train", tmp_path, tmp_path / "run"), f"{tmp_path}: Is a directory")
    wrong.write_text("")
    refused(run("train", wrong, wrong), f"{wrong}: File exists")
    wrong.write_text('[data]\nbatch_tokens = "x"\n')
    refused(run("train", wrong, tmp_path / "run"), "Setting 'data.batch_tokens' is 'x'; it must be a whole number")
