"""Training: the loss falls, a run that stops resumes bit for bit, and held-out accuracy is what decoding gives."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from metatok import MetaTokenizer  # noqa: E402
from metatok.reader.bpe import (  # noqa: E402
    ANSWER,
    BOS,
    EOS,
    QUESTION,
    save_tokenizer,
    texts,
    train_bpe,
)
from metatok.reader.config import Config, from_dict  # noqa: E402
from metatok.reader.data import make_example, pool_of_batches  # noqa: E402
from metatok.reader.export import PHRASE_FILE, export, load_phrases  # noqa: E402
from metatok.reader.heldout import Item, held_out, right_answers  # noqa: E402
from metatok.reader.muon import Muon  # noqa: E402
from metatok.reader.supply import Place, Supply  # noqa: E402
from metatok.reader.train import Run, learning_rate, main  # noqa: E402
from metatok.tasks.base import Sample, get  # noqa: E402

CONFIG = from_dict(
    {
        "compile": False,
        "evaluate_prompts": 8,
        "model": {"layers": 2, "width": 64, "heads": 4, "inner": 128},
        "data": {"batch_tokens": 1024, "full_size_at": 100.0},  # small trees to the end, large ones held out
        "optimizer": {"tokens": 450_000, "warmup_steps": 10},
    }
)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_bpe(texts(0, prompts=300, code_characters=0), vocab_size=800), folder)
    return folder


def start(folder: Path, tokenizer: Path, config: Config = CONFIG) -> Run:
    folder.mkdir(exist_ok=True)
    if not (folder / "tokenizer").exists():
        (folder / "tokenizer").symlink_to(tokenizer)
    return Run(config, folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Run:
    torch.set_num_threads(1)
    run = start(tmp_path_factory.mktemp("trained"), tokenizer_folder)
    run.train()
    return run


def test_the_loss_falls(trained: Run) -> None:
    lines = [json.loads(line) for line in (trained.folder / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    fresh = start(trained.folder.parent / "fresh", trained.folder / "tokenizer").step()
    assert fresh > 6.0  # about ln(1058): nothing is known yet
    assert losses[-1] < losses[0] < fresh
    assert losses[-1] < 0.6 * fresh
    assert lines[-1]["done"]
    assert lines[-1]["held_out"].keys() >= {"raw", "ltsc", "inline", "raw/parent", "ltsc/xml", "inline/unseen"}
    assert trained.done


def test_a_run_resumes_bit_for_bit(tmp_path: Path, tokenizer_folder: Path) -> None:
    whole = start(tmp_path / "whole", tokenizer_folder)
    losses = [whole.step() for _ in range(14)]

    stopped = start(tmp_path / "stopped", tokenizer_folder)
    again = [stopped.step() for _ in range(9)]
    stopped.save()
    resumed = start(tmp_path / "stopped", tokenizer_folder)
    assert (resumed.supply.place, resumed.tokens) == (stopped.supply.place, stopped.tokens)
    again += [resumed.step() for _ in range(5)]

    assert again == losses
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_a_checkpoint_survives_a_crash_while_the_next_is_written(
    tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path / "run", tokenizer_folder)
    run.step()
    run.save()
    run.step()

    def half(state: object, file: object) -> None:
        file.write(b"half a checkpoint")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="no space left"):
        run.save()
    assert start(tmp_path / "run", tokenizer_folder).steps == 1


def test_data_go_on_from_pool_to_pool(tmp_path: Path, tokenizer_folder: Path) -> None:
    run = start(tmp_path / "run", tokenizer_folder)
    first, rest = run.supply.next(0.0), []
    while run.supply.place.orders[0] == (0, 0.0):
        rest.append(run.supply.next(0.5))
    assert run.supply.place.orders == [(1, 0.005)]
    assert run.supply.place.batch == 1
    assert not any(b.ids.shape == first.ids.shape and (b.ids == first.ids).all() for b in rest)


def test_batches_are_the_same_with_worker_processes_and_after_a_stop(tokenizer_folder: Path) -> None:
    tokenizer = MetaTokenizer.from_pretrained(tokenizer_folder, local_only=True)
    config = from_dict({"data": {"batch_tokens": 4096, "questions": 1}})
    place = Place()
    make = partial(pool_of_batches, [get("tree")], tokenizer, config.data, config.seed)
    supply = Supply(make, place, 1.0, 1.0, workers=1)
    half = Place(0)
    batches = []
    for i in range(40):
        if i == 25:
            half = copy.deepcopy(place)
        batches.append(supply.next(i / 40))
    supply.close()
    assert place.pool >= 3
    sizes = [size for _, size in place.orders]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 0

    resumed = Supply(make, half, 1.0, 1.0, workers=1)
    for i in range(25, 40):
        again = resumed.next(i / 40)
        assert (again.ids == batches[i].ids).all()
        assert (again.weight == batches[i].weight).all()
    resumed.close()
    assert half == place


def test_a_run_starts_from_an_exported_reader(trained: Run, tmp_path: Path) -> None:
    export(trained.folder, tmp_path / "reader")
    values = {"start_from": str(tmp_path / "reader")}
    run = Run(from_dict(asdict(CONFIG) | values), tmp_path / "run")
    for name, value in trained.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value.to(torch.bfloat16).float()), name
    assert run.tokens == 0
    assert run.step() < 4.0  # a fresh model begins above 6

    deeper = asdict(CONFIG) | values | {"model": asdict(CONFIG.model) | {"layers": 3}, "new_layers": [1]}
    grown = Run(from_dict(deeper), tmp_path / "grown")
    batch = grown.supply.next(1.0)
    with torch.no_grad():
        before, after = (
            r.model.at(batch, torch.float32)
            for r in (Run(from_dict(asdict(CONFIG) | values), tmp_path / "same"), grown)
        )
    assert torch.allclose(before, after, atol=1e-4)
    assert grown.step() < 4.0
    assert grown.model.blocks[1].mlp.down_proj.weight.abs().max() > 0  # and the new layer learns

    missing = asdict(CONFIG) | values | {"new_layers": [1]}  # the model has no room for one more
    with pytest.raises(ValueError, match="has 2 layers; with 1 new ones that makes not the 2 of"):
        Run(from_dict(missing), tmp_path / "missing")
    assert not list((tmp_path / "missing").iterdir()), "a refused run leaves something that the next one would take"
    with pytest.raises(ValueError, match=r"new_layers holds 9, and the model's layers are 0 … 2"):
        Run(from_dict(deeper | {"new_layers": [9]}), tmp_path / "ninth")
    with pytest.raises(ValueError, match="there is no start_from"):
        Run(from_dict(deeper | {"start_from": ""}), tmp_path / "nothing")
    wider = asdict(CONFIG) | values | {"model": {"layers": 2, "width": 128, "heads": 4, "inner": 128}}
    with pytest.raises(ValueError, match=r"another shape: .* is \(.*64.*\) there and \(.*128.*\) here"):
        Run(from_dict(wider), tmp_path / "wider")


def test_a_run_takes_the_tokenizer_it_is_told(tokenizer_folder: Path, tmp_path: Path) -> None:
    Run(from_dict(asdict(CONFIG) | {"tokenizer": str(tokenizer_folder)}), tmp_path / "run")
    given, own = (
        (folder / "tokenizer.json").read_text() for folder in (tokenizer_folder, tmp_path / "run" / "tokenizer")
    )
    assert json.loads(given)["model"] == json.loads(own)["model"]
    # What a start left that came to nothing does not count, be it whole or half.
    other = tmp_path / "left"
    save_tokenizer(train_bpe(texts(1, prompts=30, code_characters=0), vocab_size=700), other / "tokenizer")
    run = Run(from_dict(asdict(CONFIG) | {"tokenizer": str(tokenizer_folder)}), other)
    assert run.tokenizer.vocab_size == MetaTokenizer.from_pretrained(other / "tokenizer", local_only=True).vocab_size
    assert run.tokenizer.fingerprint == MetaTokenizer.from_pretrained(tokenizer_folder, local_only=True).fingerprint
    with pytest.raises(ValueError, match="nowhere', which the config names, holds no tokenizer"):
        Run(from_dict(asdict(CONFIG) | {"tokenizer": str(tmp_path / "nowhere")}), tmp_path / "other")


def test_several_processes_train_one_model(tmp_path: Path, tokenizer_folder: Path) -> None:
    """Two processes on this machine: one model, twice the tokens a step, different data; and they can resume."""
    values = asdict(CONFIG) | {"optimizer": {"tokens": 20_000, "warmup_steps": 10}}
    (tmp_path / "run").mkdir()
    shutil.copytree(tokenizer_folder, tmp_path / "run" / "tokenizer")
    (tmp_path / "two.py").write_text(
        "import sys, json, torch\n"
        "from pathlib import Path\n"
        "from metatok.reader.config import from_dict\n"
        "from metatok.reader.running import leave\n"
        "from metatok.reader.train import Run\n"
        "run = Run(from_dict(json.loads(sys.argv[2])), Path(sys.argv[1]))\n"
        "begun = run.tokens\n"
        "run.train()\n"
        "weights = [p.double().sum().item() for p in run.model.parameters()]\n"
        "out = [run.supply.place.pool, run.steps, begun, run.tokens, weights]\n"
        "(Path(sys.argv[1]) / f'{run.processes.process_index}.json').write_text(json.dumps(out))\n"
        "leave()\n"
    )

    def train(tokens: int) -> list[Any]:
        values["optimizer"]["tokens"] = tokens
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        done = subprocess.run(
            [*launch, str(tmp_path / "two.py"), str(tmp_path / "run"), json.dumps(values)],
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        first, second = (json.loads((tmp_path / "run" / f"{i}.json").read_text()) for i in range(2))
        assert first[1:] == second[1:]
        return first[1:]

    steps, begun, trained, weights = train(20_000)
    assert begun == 0
    assert trained >= 20_000
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert [place["orders"][0][0] % 2 for place in state["places"]] == [0, 1]
    more_steps, begun, more_trained, more_weights = train(trained + 1)
    assert (begun, more_steps) == (trained, steps + 1)
    assert more_trained > trained
    assert more_weights != weights
    with pytest.raises(ValueError, match="has 2 processes; resume it with as many"):
        Run(from_dict(values), tmp_path / "run")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_muon_is_torchs(dtype: torch.dtype) -> None:
    """Ten steps of ours and of `torch.optim.Muon`, which iterates in bfloat16, are as near as bfloat16 allows."""
    torch.manual_seed(0)
    starts = [torch.randn(24, 24), torch.randn(16, 40), torch.randn(40, 16), torch.randn(24, 24)]
    ours, theirs = ([torch.nn.Parameter(s.clone()) for s in starts] for _ in range(2))
    a = Muon(ours, lr=0.01, weight_decay=0.05, dtype=dtype)
    b = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    for _ in range(10):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        a.step()
        b.step()
    for start, p, q in zip(starts, ours, theirs, strict=True):
        moved = (q - start).norm()
        assert moved > 0
        assert (p - q).norm() < 0.03 * moved
    with pytest.raises(ValueError, match=r"matrices, not a parameter of shape \(3,\)"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=0.1)


def test_a_run_that_is_told_to_stop_says_so_and_goes_on_later(
    tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, folder = tmp_path / "c.toml", tmp_path / "run"
    config.write_text(
        "compile = false\nevaluate_prompts = 1\n[model]\nlayers = 2\nwidth = 64\nheads = 4\ninner = 64\n"
        "[data]\nbatch_tokens = 1024\nfull_size_at = 100.0\n[optimizer]\ntokens = 6000\n"
    )
    folder.mkdir()
    (folder / "tokenizer").symlink_to(tokenizer_folder)
    step = Run.step

    def step_and_stop(run: Run) -> float:
        loss = step(run)
        if run.steps == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    monkeypatch.setattr(Run, "step", step_and_stop)
    assert main([str(config), str(folder)]) == 130
    stopped = capsys.readouterr().err.splitlines()[-1]
    assert stopped.endswith("tokens; the same command goes on from there.")
    assert 0 < int(stopped.removeprefix("stopped at ").split()[0].replace(",", "")) < 6000
    monkeypatch.undo()
    assert main([str(config), str(folder)]) == 0
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    assert last["done"]
    assert last["step"] > 3
    assert last["tokens"] >= 6000


def test_learning_rate_warms_up_and_falls() -> None:
    config = CONFIG.optimizer
    warm = [learning_rate(config, step, 0) for step in range(10)]
    assert warm == pytest.approx([(i + 1) / 10 for i in range(10)])
    falling = [learning_rate(config, 1000, tokens) for tokens in range(0, config.tokens + 1, 10_000)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == pytest.approx(config.final_lr)


def test_held_out_accuracy_is_what_greedy_decoding_gives(trained: Run, tmp_path: Path) -> None:
    """Against `generate` of the exported model, with the phrases' embeddings from their file."""
    from transformers import AutoModelForCausalLM

    export(trained.folder, tmp_path)
    llama = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    phrases = load_phrases(tmp_path, CONFIG.model.width)
    # The weights on file are bfloat16, so the model in memory takes them over.
    with torch.no_grad():
        for parameter in trained.model.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))

    tokenizer, items = trained.tokenizer, held_out([get("tree")], trained.tokenizer, CONFIG.data, prompts=8, seed=5)
    for item in items:  # so small a model is never right, so every other truth is what it says
        for number, sample in enumerate(item.samples[::2]):
            said = tokenizer.decode(decoded(llama, phrases, item, 2 * number + 1, 24)).removesuffix("<|eos|>")
            item.samples[2 * number] = replace(sample, working="", answer=said)
    items = [
        replace(item, example=make_example(tokenizer, item.samples, CONFIG.data, random.Random(i), item.form))
        for i, item in enumerate(items)
    ]
    items.sort(key=lambda item: len(item.example.ids))

    told = right_answers(trained.model, items, torch.float32)
    assert told == [
        [decodes(llama, phrases, item, number + 1) for number in range(len(item.samples))] for item in items
    ]
    assert 0 < sum(map(sum, told)) < sum(map(len, told))


def decodes(llama: torch.nn.Module, phrases: torch.nn.Module, item: Item, number: int) -> bool:
    """Whether greedy decoding gives exactly the answer to question `number`."""
    part = item.example.ids[item.example.segment == number].tolist()
    answer = part[part.index(ANSWER) + 1 :]
    assert answer[-1] == EOS
    return decoded(llama, phrases, item, number, len(answer)) == answer


@torch.no_grad()
def decoded(llama: torch.nn.Module, phrases: torch.nn.Module, item: Item, number: int, tokens: int) -> list[int]:
    """What greedy decoding answers to question `number`, so many tokens at most."""
    e = item.example
    part = e.ids[e.segment == number].tolist()
    asked = part[: part.index(ANSWER) + 1]
    ids = torch.tensor([[*e.ids[e.segment == 0], *asked]])
    assert (ids[0, 0], asked[0]) == (BOS, QUESTION)
    table = llama.get_input_embeddings().weight
    embedded = phrases(table[ids], table, torch.from_numpy(e.phrases))
    out = llama.generate(inputs_embeds=embedded, attention_mask=torch.ones_like(ids), max_new_tokens=tokens)
    answer: list[int] = out[0].tolist()
    return answer


def test_a_matrix_that_the_file_of_phrases_lacks_adds_nothing(trained: Run, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    export(trained.folder, tmp_path)
    stored = load_file(tmp_path / PHRASE_FILE)
    assert stored.pop("owner").any()
    save_file(stored, tmp_path / PHRASE_FILE)
    phrases = load_phrases(tmp_path, CONFIG.model.width)
    for name, matrix in phrases.state_dict().items():
        torch.testing.assert_close(matrix, stored[name].float() if name in stored else torch.zeros_like(matrix))

    save_file(stored | {"ninth": stored["first"].clone()}, tmp_path / PHRASE_FILE)
    with pytest.raises(RuntimeError, match="ninth"):
        load_phrases(tmp_path, CONFIG.model.width)


def test_an_exported_reader_loads_without_us(trained: Run, tmp_path: Path) -> None:
    export(trained.folder, tmp_path)
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 10_000_000
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in tmp_path.iterdir())
    code = (
        "import sys; from transformers import AutoModelForCausalLM, AutoTokenizer; "
        f"m = AutoModelForCausalLM.from_pretrained({str(tmp_path)!r}); "
        f"t = AutoTokenizer.from_pretrained({str(tmp_path)!r}); "
        "assert m.config.model_type == 'llama' and len(t) == m.config.vocab_size; "
        "assert t.convert_tokens_to_ids('<|m0|>') == 802; "
        "assert 'metatok' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert MetaTokenizer.from_pretrained(tmp_path, local_only=True).vocab_size == 800


def test_the_learning_of_a_held_out_prompt_is_fair(trained: Run) -> None:
    """Raw and compressed forms of a prompt have the same questions, and none of the prompts is a training prompt."""
    items = held_out([get("tree")], trained.tokenizer, CONFIG.data, prompts=4)
    lengths = sorted(len(item.example.ids) for item in items if item.form is None)
    shorter = replace(CONFIG.data, longest=lengths[1])  # the two longest are left out, in every form
    fewer = held_out([get("tree")], trained.tokenizer, shorter, prompts=4)
    assert len(fewer) == len(items) // 2
    assert {item.samples[0].prompt for item in fewer} < {item.samples[0].prompt for item in items}
    by_prompt: dict[str, list[list[str]]] = {}
    for item in items:
        by_prompt.setdefault(item.samples[0].prompt, []).append([s.question for s in item.samples])
    assert len(by_prompt) == 4
    assert all(len(forms) == 3 and forms[0] == forms[1] == forms[2] for forms in by_prompt.values())

    class Noted:
        """The task, and the prompts that were drawn of it."""

        name, drawn = "tree", set[str]()

        def draw(self, *arguments: Any, **options: Any) -> list[Sample]:
            samples = get("tree").draw(*arguments, **options)
            self.drawn.add(samples[0].prompt)
            return samples

    pool_of_batches([Noted()], trained.tokenizer, CONFIG.data, CONFIG.seed, 0, 1.0)  # type: ignore[list-item]
    assert len(Noted.drawn) == CONFIG.data.pool
    assert not Noted.drawn & by_prompt.keys()


def test_held_out_answers_count_whatever_training_weighs(trained: Run) -> None:
    rights = []
    for data in (CONFIG.data, replace(CONFIG.data, emphasis={"inside": 0.0, "depth": 0.0}, first_weight=0.0)):
        items = held_out([get("tree")], trained.tokenizer, data, prompts=4)
        rights.append(right_answers(trained.model, items, torch.float32))
    assert rights[0] == rights[1]


WORKING = """
import signal, threading, time
from multiprocessing import active_children
from metatok.reader.supply import Place, Supply

def make(number, size):
    time.sleep(60)
    return [number]

if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: print("told", flush=True))
    supply = Supply(make, Place(), 1.0, 0.0, workers=1)
    threading.Timer(2, lambda: print(active_children()[0].pid, flush=True)).start()
    supply.next(0.0)
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_what_makes_examples_leaves_ctrl_c_to_the_run_and_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "working.py").write_text(WORKING)
    words = [sys.executable, str(tmp_path / "working.py")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as running:
        assert running.stdout
        worker = int(running.stdout.readline())
        time.sleep(3)  # until it works
        os.killpg(running.pid, signal.SIGINT)
        assert running.stdout.readline() == "told\n"
        time.sleep(1)
        os.kill(worker, 0)
        assert running.poll() is None
        running.kill()
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("it is still there")


@pytest.mark.parametrize("largest", [0.0, 1.0])
def test_prompts_are_as_large_as_they_are_said_to_be(largest: float, tokenizer_folder: Path) -> None:
    tokenizer = MetaTokenizer.from_pretrained(tokenizer_folder, local_only=True)
    config = from_dict({"data": {"largest": largest, "questions": 1}})
    make = partial(pool_of_batches, [get("tree")], tokenizer, config.data, config.seed)
    supply = Supply(make, Place(), largest, 1.0)
    supply.next(1.0)
    assert supply.place.size == largest
    drawn = {item.samples[0].prompt for item in held_out([get("tree")], tokenizer, config.data, prompts=6)}
    nodes = {0.0: range(4, 13), 1.0: range(13, 90)}[largest]  # a tree of n nodes takes up to 2 n lines as xml
    assert all(prompt.count("\n") + 1 in nodes for prompt in drawn), [prompt.count("\n") + 1 for prompt in drawn]


@pytest.mark.parametrize(("full_size_at", "first"), [(0.0, 1.0), (0.5, 0.0)])
def test_prompts_have_all_sizes_from_where_they_are_said_to(full_size_at: float, first: float) -> None:
    supply = Supply(lambda number, size: ["a batch"], Place(), 1.0, full_size_at)  # type: ignore[list-item]
    sizes = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        supply.next(progress)
        sizes.append(supply.place.size)
    assert sizes == [first, (first + 1) / 2, 1.0, 1.0]
