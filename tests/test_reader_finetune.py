"""Fine-tuning a causal LM that the test makes: what is trained, that it resumes, and that plain peft loads it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from metatok.codec import Codec  # noqa: E402
from metatok.reader import Reader, ReaderError, export, train  # noqa: E402
from metatok.reader.adapters import extend_tokenizer  # noqa: E402
from metatok.reader.batch import answers, self_information  # noqa: E402
from metatok.reader.finetune import (  # noqa: E402
    FORMS,
    Finetuning,
    finetune,
    logits_at,
    main,
)
from metatok.reader.finetune_data import FinetuneConfig, from_dict, make_example  # noqa: E402
from metatok.reader.marks import FORMAT  # noqa: E402
from metatok.reader.written import Brackets, read_back, roles  # noqa: E402
from metatok.tasks.base import Sample, get, samples  # noqa: E402
from metatok.tokenizer import MetaTokenizer  # noqa: E402

CONFIG = from_dict(
    {
        "tasks": ["tree"],
        "meta_tokens": 64,
        "rank": 4,
        "adapter_lr": 2e-2,
        "embedding_lr": 2e-2,
        "tokens": 60_000,
        "warmup_steps": 5,
        "batch_tokens": 1024,
        "full_size_at": 100.0,  # small trees to the end
        "evaluate_prompts": 6,
    }
)


pytestmark = pytest.mark.usefixtures("one_thread")


def save_base(folder: Path, kind: str) -> Path:
    """A random model of a few thousand weights with a byte-level tokenizer, as they are on the Hub.

    Its output layer is random and stays so, so its weights are large enough to tell tokens apart.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["</s>"], initial_alphabet=alphabet)
    stream = samples(get("tree"), 0, size=0.0)
    tokenizer.train_from_iterator([next(stream).prompt for _ in range(50)], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    if kind == "tied":  # and with learned positions, and rows that no token has
        model = GPT2LMHeadModel(
            GPT2Config(vocab_size=320, n_embd=32, n_layer=2, n_head=2, n_positions=2048, initializer_range=0.3)
        )
    else:
        shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        shape["initializer_range"] = 0.3
        model = LlamaForCausalLM(LlamaConfig(vocab_size=300, tie_word_embeddings=False, **shape))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["untied", "tied"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("base"), request.param)


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("untied"), "untied")


def test_the_loss_falls_and_only_what_should_change_does(base: Path, tmp_path: Path) -> None:
    run = Finetuning(str(base), CONFIG, tmp_path)
    trained = set(run.trained)
    assert all("lora_" in name or "trainable_tokens_delta" in name for name in trained)
    state = run.accelerator.unwrap_model(run.model).state_dict()
    before = {name: value.clone() for name, value in state.items()}
    run.train()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines() if "loss" in line]
    assert losses[-1] < 0.9 * losses[0]

    after = run.accelerator.unwrap_model(run.model).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed  # and nothing but:
    assert all("lora_" in name or "trainable_tokens_delta" in name for name in changed)
    # Of the embeddings, rows for the three marks of the format, the two of the dictionary, and the meta-tokens.
    shapes = {value.shape for name, value in after.items() if "trainable_tokens_delta" in name}
    assert shapes == {(3 + 2 + 64, 32)}
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["done"]
    assert last["held_out"].keys() == {"tree/raw", "tree/ltsc", "tree/inline"}


def test_a_run_resumes_bit_for_bit(base: Path, tmp_path: Path) -> None:
    whole = Finetuning(str(base), CONFIG, tmp_path / "whole")
    losses = [whole.step() for _ in range(12)]
    stopped = Finetuning(str(base), CONFIG, tmp_path / "stopped")
    again = [stopped.step() for _ in range(7)]
    stopped.save()
    resumed = Finetuning(str(base), CONFIG, tmp_path / "stopped")
    assert (resumed.steps, resumed.tokens, resumed.supply.place) == (
        stopped.steps,
        stopped.tokens,
        stopped.supply.place,
    )
    again += [resumed.step() for _ in range(5)]
    assert again == losses
    for name, value in whole.trained.items():
        assert torch.equal(value, resumed.trained[name]), name


def test_plain_peft_and_transformers_load_the_adapter(base: Path, tmp_path: Path) -> None:
    """In a process that knows nothing of us: the same logits, for raw and for new tokens."""
    run = Finetuning(str(base), CONFIG, tmp_path)
    for _ in range(3):
        run.step()
    run.export()
    model = run.accelerator.unwrap_model(run.model).eval()
    first = run.tokenizer.codec.first_meta
    ids = torch.tensor([[5, first, 7, first + 63, run.marks.question, 9, run.marks.answer]])
    with torch.no_grad():
        torch.save((ids, model(input_ids=ids.to(model.device)).logits.cpu()), tmp_path / "expected.pt")
    dtype = str(next(model.get_base_model().parameters()).dtype)
    code = f"""
import sys, torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer
torch.set_num_threads({torch.get_num_threads()})
ids, expected = torch.load({str(tmp_path / "expected.pt")!r})
model = AutoPeftModelForCausalLM.from_pretrained({str(tmp_path / "adapter")!r}, dtype={dtype}).eval()
tokenizer = AutoTokenizer.from_pretrained({str(tmp_path / "adapter")!r})
assert tokenizer.convert_tokens_to_ids(["<|m0|>", "<|q|>"]) == [{first}, {run.marks.question}]
with torch.autocast("cpu", enabled={run.accelerator.mixed_precision == "bf16"}), torch.no_grad():
    assert torch.equal(model(input_ids=ids).logits.float(), expected)
assert "metatok" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True)
    saved = MetaTokenizer.from_pretrained(tmp_path / "adapter", local_only=True)
    assert (saved.vocab_size, saved.meta_tokens) == (run.tokenizer.vocab_size, 64)
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        base
    )
    assert (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size < 200_000  # no whole embeddings


def test_examples_are_what_people_will_ask(untied: Path) -> None:
    tokenizer, marks, _ = extend_tokenizer(untied, 64)
    prompt = "red < green < blue\nred < green < yellow\nred < green < black\n"
    sample = Sample(prompt, "parent of red", "green", "parent", "manifest", True)
    encode = tokenizer.encode
    raw = make_example(tokenizer, marks, sample, random.Random(0), None)
    question = [marks.question, *encode("parent of red"), marks.answer]
    answer = [*encode("green"), marks.eos]
    assert raw.ids.tolist() == [*encode(prompt), *question, *answer]  # this model has no bos
    assert raw.ids[raw.weight > 0].tolist() == answer
    short = make_example(tokenizer, marks, sample, random.Random(0), "inline")
    assert len(short.ids) < len(raw.ids)
    end = len(short.ids) - len(question) - len(answer)
    assert tokenizer.decode(Codec(tokenizer.vocab_size, 64, "inline").decompress(short.ids[:end])) == prompt
    expand = make_example(tokenizer, marks, sample, random.Random(1), "ltsc", expand_weight=0.5)
    start = expand.ids.tolist().index(marks.expand) + 1
    *written, end_mark = expand.ids[start:].tolist()
    codec = Codec(tokenizer.vocab_size, 64, "ltsc")
    brackets = Brackets(marks.expand, marks.answer, codec)
    assert list(read_back(written, tokenizer.vocab_size, brackets)) == list(encode(prompt))
    settled = roles(written, Brackets(marks.expand, marks.answer, codec))[1]
    assert any(settled)
    assert end_mark == marks.eos
    assert expand.weight.tolist() == [*[0] * start, *(0.5 * (not known) for known in settled), 0.5]
    again = make_example(tokenizer, marks, sample, random.Random(2), "inline")
    assert len(again.ids) == len(short.ids)
    assert again.ids.tolist() != short.ids.tolist()  # other meta-tokens


def test_outputs_are_those_of_the_whole_sequence(untied: Path, tmp_path: Path) -> None:
    run = Finetuning(str(untied), CONFIG, tmp_path)
    batch = run.supply.next(0.0)
    assert len(batch.ids) > 1
    model = run.accelerator.unwrap_model(run.model)
    with torch.no_grad():
        whole = model(input_ids=torch.from_numpy(batch.ids)).logits.float()
        got = logits_at(model, batch, torch.device("cpu"))
    expected = whole.reshape(-1, whole.shape[-1])[batch.where]
    assert torch.allclose(got, expected, atol=0.05)
    assert (got.argmax(-1) == expected.argmax(-1)).float().mean() > 0.95


def test_new_tokens_keep_their_ids_when_the_base_has_the_marks_already(untied: Path, tmp_path: Path) -> None:
    once, marks, _ = extend_tokenizer(untied, 64)
    once.save_pretrained(tmp_path)
    twice, same, new = extend_tokenizer(tmp_path, 64)
    assert same == marks
    assert twice.vocab_size == once.vocab_size == 303
    assert new == range(303, 303 + 2 + 64)
    assert twice.hf.convert_tokens_to_ids([*FORMAT, "<|m0|>"]) == [300, 301, 302, 305]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_what_cannot_be_fine_tuned_is_one_sentence(
    untied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config, run = tmp_path / "c.toml", str(tmp_path / "run")
    config.write_text("ranks = 4")
    assert "unknown setting 'ranks'" in refused(["--base-model", str(untied), str(config), run], capsys)
    config.write_text("rank = 4")
    said = refused(["--base-model", "nobody/nothing", str(config), run], capsys)
    assert said.startswith("nobody/nothing is no folder here, and could not be downloaded")
    (untied.parent / "empty").mkdir(exist_ok=True)
    assert "holds no config.json" in refused(["--base-model", str(untied.parent / "empty"), str(config), run], capsys)

    from transformers import BloomConfig, BloomForCausalLM, PhiConfig, PhiForCausalLM, T5Config

    MetaTokenizer.from_pretrained(untied, meta_tokens=8, method="ltsc").save_pretrained(tmp_path / "t5")
    T5Config(vocab_size=300).save_pretrained(tmp_path / "t5")
    said = refused(["--base-model", str(tmp_path / "t5"), str(config), run], capsys)
    assert "t5 is not a causal language model that transformers can load" in said

    MetaTokenizer.from_pretrained(untied, meta_tokens=8, method="ltsc").save_pretrained(tmp_path / "phi")
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    PhiForCausalLM(PhiConfig(vocab_size=300, **shape)).save_pretrained(tmp_path / "phi")
    with pytest.raises(ValueError, match="phi has an output layer with a bias"):
        finetune(str(tmp_path / "phi"), CONFIG, tmp_path / "run")

    MetaTokenizer.from_pretrained(untied, meta_tokens=8, method="ltsc").save_pretrained(tmp_path / "bloom")
    BloomForCausalLM(BloomConfig(vocab_size=300, hidden_size=8, n_layer=1, n_head=1)).save_pretrained(
        tmp_path / "bloom"
    )
    with pytest.raises(ValueError, match="bloom does not say how many positions it has"):
        finetune(str(tmp_path / "bloom"), CONFIG, tmp_path / "run")


def test_prompts_that_are_too_long_for_the_model_are_one_sentence(untied: Path, tmp_path: Path) -> None:
    run = Finetuning(str(untied), replace(CONFIG, longest=20), tmp_path)
    with pytest.raises(ValueError, match="no prompt of tree fits into 20 tokens"):
        run.step()


def test_two_processes_train_one_model(untied: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('tasks = ["tree"]\nmeta_tokens = 64\nrank = 4\ntokens = 8000\nevaluate_prompts = 1\n')
    # --standalone: a port of its own; without it every run on a machine meets at the same one.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "metatok.reader.finetune", "--base-model", str(untied), str(config), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert len(state["places"]) == 2
    with pytest.raises(ValueError, match="this run has 2 processes; resume it with as many"):
        Finetuning(str(untied), replace(CONFIG, tokens=8000), tmp_path / "run")


def test_a_folder_belongs_to_one_base_model(untied: Path, tmp_path: Path) -> None:
    run = Finetuning(str(untied), CONFIG, tmp_path)
    run.save()
    other = save_base(tmp_path / "other", "untied")
    with pytest.raises(ValueError, match=r"fine-tunes .*, not .*other; take another folder"):
        finetune(str(other), FinetuneConfig(), tmp_path)


def test_a_run_that_is_resumed_as_another_kind_says_how(
    untied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.toml"
    config.write_text("")
    Finetuning(str(untied), CONFIG, tmp_path / "tuned").save()
    with pytest.raises(ValueError, match=f"tuned fine-tunes {re.escape(str(untied))}: add --base-model"):
        train.main([str(config), str(tmp_path / "tuned")])
    with pytest.raises(SystemExit):
        export.main([str(tmp_path / "tuned"), str(tmp_path / "out")])
    assert "tuned is no run that trained a reader" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        export.main([str(tmp_path), str(tmp_path / "out")])
    assert "holds no checkpoint.pt" in capsys.readouterr().err
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "checkpoint.pt").touch()
    (tmp_path / "own" / "config.json").write_text('{"seed": 1}')
    said = refused(["--base-model", str(untied), str(config), str(tmp_path / "own")], capsys)
    assert "trains no base model: leave --base-model out" in said


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_a_fine_tuned_model_is_a_reader(kind: str, tmp_path: Path) -> None:
    """Asked through `Reader` it answers as peft's own model does, though its marks have other ids and no beginning."""
    from peft import AutoPeftModelForCausalLM

    run = Finetuning(str(save_base(tmp_path / "base", kind)), CONFIG, tmp_path / "run")
    for _ in range(3):
        run.step()
    run.export()
    reader = Reader.from_pretrained(tmp_path / "run" / "adapter")
    assert (reader.marks, reader.phrases) == (run.marks, None)
    assert reader.tokenizer.meta_tokens == 64
    theirs = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "run" / "adapter", dtype=torch.float32).eval()

    asked = list(islice(samples(get("tree"), 5, size=0.0), 4))
    prompts = [reader.prepare(s.prompt, method) for s in asked for method in FORMS]
    questions = [s.question for s in asked for _ in FORMS]
    together = answers(reader, list(zip(prompts, questions, strict=True)), 8)
    assert len(set(together)) > 1
    for prompt, question, answer in zip(prompts, questions, together, strict=True):
        ids = torch.tensor([[*prompt.ids, *reader.question(question)]])
        with torch.no_grad():
            expected = theirs(input_ids=ids).logits
            ours = reader.model(inputs_embeds=reader.embed(prompt, reader.question(question))).logits
        assert torch.allclose(ours, expected, atol=1e-3)
        alone = reader.ask(prompt, question, max_new_tokens=8)
        assert alone.read() == answer
        assert alone.statistics.input_tokens == ids.shape[1]
    raw = reader.tokenizer.encode(asked[0].prompt)
    information = self_information(reader, raw.tolist())
    assert information.shape == raw.shape
    assert (information > 0).all()


def test_an_adapter_without_its_base_model_is_one_sentence(untied: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(untied, base)
    run = Finetuning(str(base), CONFIG, tmp_path / "run")
    run.export()
    adapter = tmp_path / "run" / "adapter"
    with pytest.raises(ValueError, match="holds an adapter, not a whole model: name the base model"):
        finetune(str(adapter), CONFIG, tmp_path / "again")
    shutil.rmtree(base)
    with pytest.raises(ReaderError, match=r"Its base model cannot be had\. .*base") as refused:
        Reader.from_pretrained(adapter)
    assert "\n" not in str(refused.value)
