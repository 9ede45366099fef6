"""The lean model is transformers' Llama; the initialisation attends where it should; phrases enter the embeddings."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from metatok import Codec, MetaTokenizer  # noqa: E402
from metatok.codec import Method  # noqa: E402
from metatok.reader import model as lean  # noqa: E402
from metatok.reader.bpe import save_tokenizer, texts, train_bpe  # noqa: E402
from metatok.reader.config import DataConfig, ModelConfig  # noqa: E402
from metatok.reader.data import PLACES, RELATED, make_example, pack, phrase_rows  # noqa: E402
from metatok.reader.export import PHRASE_FILE, load_exported, load_phrases, to_llama  # noqa: E402
from metatok.reader.mimetic import LOOK_BACK, initialise, match_lines  # noqa: E402
from metatok.reader.model import LeanLlama  # noqa: E402
from metatok.tasks.base import get  # noqa: E402

VOCABULARY = 400


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> MetaTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_bpe(texts(0, prompts=300, code_characters=0), vocab_size=1000), folder)
    return MetaTokenizer.from_pretrained(folder, local_only=True)


def fresh(config: ModelConfig, vocabulary: int = VOCABULARY, before: int = 0) -> LeanLlama:
    model = LeanLlama(config, vocabulary, before)
    initialise(model, torch.Generator().manual_seed(0))
    return model.eval()


@torch.no_grad()
def hidden(model: LeanLlama, ids: torch.Tensor, phrases: torch.Tensor | None = None) -> torch.Tensor:
    position = torch.arange(ids.shape[1]).expand_as(ids)
    return model(model.embed(ids, phrases), torch.zeros_like(ids), position, torch.float32)


def attentions(
    model: LeanLlama, ids: torch.Tensor, monkeypatch: pytest.MonkeyPatch, phrases: torch.Tensor | None = None
) -> list[torch.Tensor]:
    """The attention (b, heads, t, t) of each layer; slices of it see nothing behind them."""
    seen: list[torch.Tensor] = []
    softmax = torch.softmax
    monkeypatch.setattr(lean.torch, "softmax", lambda *a, **k: seen.append(softmax(*a, **k)) or seen[-1])
    hidden(model, ids, phrases)
    monkeypatch.undo()
    whole = [F.pad(rows, (0, ids.shape[1] - rows.shape[-1])) for rows in seen]
    return [torch.cat(whole[i : i + lean.SLICES], dim=2) for i in range(0, len(whole), lean.SLICES)]


@pytest.mark.parametrize("n", [50, 300])
def test_heads_attend_where_they_should_before_any_training(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fresh(ModelConfig(), vocabulary=4096)
    once = torch.randint(10, 4096, (2, n), generator=torch.Generator().manual_seed(1))
    twice = torch.cat((once, once), dim=1)
    first, second = attentions(model, twice, monkeypatch)[:2]
    for head, back in enumerate(LOOK_BACK):
        at = torch.arange(back, 2 * n)
        assert first[:, head, at, at - back].mean() > 0.95
    at = torch.arange(n + 4, 2 * n)  # in the repetition; `at - n` is the same token the first time
    for head, (found, least) in enumerate(((1, 0.3), (1, 0.7), (1, 0.9), (2, 0.85))):
        assert second[:, head, at, at - n + found].mean() > least, head
    # And what is copied comes out: the likeliest next token, far more often than one time in 4,096.
    likeliest = model.logits(hidden(model, twice))[:, at].argmax(-1)
    assert (likeliest == twice[:, at - n + 1]).float().mean() > 0.4


def test_a_question_that_ends_in_a_name_finds_what_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`w x , y … w x ?` attends to y: two tokens match, one between them and the answer does not."""
    model = fresh(ModelConfig(), vocabulary=4096)
    ids = torch.randint(10, 4096, (8, 300), generator=torch.Generator().manual_seed(1))
    ids[:, -3:-1] = ids[:, 100:102]
    last = attentions(model, ids, monkeypatch)[1][:, 2, -1]
    assert (last.argmax(-1) == 103).all()


@pytest.mark.parametrize("t", [1, 3, 20, 50])
def test_a_gpu_attends_as_a_cpu_does(t: int) -> None:
    """The products slice by slice, which a CPU takes, are torch's attention, which a GPU takes."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, t, 8, generator=generator) for _ in range(3))
    segment = torch.tensor([[0] * 9 + [1] * 6 + [2] * 35, [0] * 4 + [1] * 10 + [-1] * 36])[:, :t]
    mask = lean.visible(segment)
    there = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(lean._attend(q, k, v, mask), there)


def test_export_is_the_same_model() -> None:
    model = fresh(ModelConfig(layers=3, width=64, heads=4, inner=96))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    llama = to_llama(model)
    assert type(llama).__name__ == "LlamaForCausalLM"
    ids = torch.randint(0, VOCABULARY, (2, 70), generator=torch.Generator().manual_seed(3))
    phrases = torch.tensor([[3, 7, 8, 9, 4, 6, 5, 9, -1], [75, 1, 2, -1, -1, 2, 1, -1, 11]])
    with torch.no_grad():
        torch.testing.assert_close(llama(ids).logits, model.logits(hidden(model, ids)), atol=1e-4, rtol=1e-4)
        embedded = model.embed(ids, phrases)
        position = torch.arange(70).expand(2, 70)
        ours = model.logits(model(embedded, torch.zeros_like(ids), position, torch.float32))
        torch.testing.assert_close(llama(inputs_embeds=embedded).logits, ours, atol=1e-4, rtol=1e-4)


def test_a_question_sees_the_prompt_and_itself_only(tokenizer: MetaTokenizer) -> None:
    """Each question's outputs are those that it has when it is asked alone."""
    vocabulary = tokenizer.vocab_size + tokenizer.codec.n_added
    model = fresh(ModelConfig(layers=3, width=64, heads=4, inner=96), vocabulary)
    drawn = get("tree").draw(random.Random(0), size=0.2, questions=4)
    config = DataConfig(prompt_weight=0.0)

    def logits(samples: list) -> torch.Tensor:
        # The same seed names the meta-tokens alike.
        example = make_example(tokenizer, samples, config, random.Random(1), "ltsc")
        other = make_example(tokenizer, drawn, config, random.Random(2), None)  # a longer neighbour: padding
        batch = pack([example, other])
        with torch.no_grad():
            return model.at(batch, torch.float32)[: np.count_nonzero(example.weight)]

    together = logits(drawn)
    alone = torch.cat([logits([sample]) for sample in drawn])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", ["inline", "ltsc", "nested"])
def test_embeddings_are_made_of_what_is_related(method: Method) -> None:
    model = fresh(ModelConfig(layers=2, width=64, heads=4, inner=96))
    scales = dict(zip(RELATED, (0.5, 0.2, 0.3, 0.7, 0.11, 0.13, 0.17, 0.23), strict=True))
    with torch.no_grad():
        for name, scale in scales.items():
            model.phrases.get_parameter(name).copy_(scale * torch.eye(64))
    codec = Codec(100, 200, method)
    long, short = [*range(1, 9)], [50, 51, 52]
    compressed = codec.compress([*long, 0, *long, 9, *long, *short, 60, *short, 61, *short, 62, *short])
    rows = torch.from_numpy(phrase_rows(compressed))
    tensor = torch.from_numpy(compressed.ids.astype(np.int64))[None]
    with torch.no_grad():
        difference = (model.embed(tensor, rows) - model.embed(tensor, None))[0]
        table = model.embed_tokens.weight
    lengths, owned = set(), 0
    for symbol, owner, added in zip(compressed.ids.tolist(), compressed.defines.tolist(), difference, strict=True):
        expected = torch.zeros(64)
        if symbol in compressed.phrases:
            phrase = compressed.phrases[symbol]
            lengths.add(len(phrase))
            there = {place: phrase[index : index + 1 or None] for place, index in PLACES.items()}
            expected += sum(scales[place] * table[token[0]] for place, token in there.items() if token)
        if owner in compressed.phrases and owner != symbol:
            expected += scales["owner"] * table[owner]
            owned += 1
        torch.testing.assert_close(added, expected)
    assert max(lengths) >= 8  # one that has all places
    assert owned == sum(len(phrase) for phrase in compressed.definitions.values())
    assert min(lengths) < 4  # one too short for some of them


def lines(ids: torch.Tensor, count: int) -> torch.Tensor:
    """Rows for plain sequences of one line each: nothing is related but the ids before."""
    b, t = ids.shape
    padded = F.pad(ids, (count, 0), value=-1)
    before = torch.stack([padded[:, count - i : count - i + t] for i in range(1, count + 1)], dim=-1)
    nothing = torch.full((b * t, len(RELATED)), -1)
    return torch.cat((torch.arange(b * t)[:, None], nothing, before.view(b * t, count)), dim=1)


def test_what_stands_before_is_embedded() -> None:
    model = fresh(ModelConfig(layers=3, width=64, heads=4, inner=96), before=2)
    ids = torch.tensor([[5, 6, 7, 8]])
    rows, table = lines(ids, 2), model.embed_tokens.weight
    assert rows[:, -2:].tolist() == [[-1, -1], [5, -1], [6, 5], [7, 6]]
    with torch.no_grad():
        added = (model.embed(ids, rows) - model.embed(ids, None))[0]
        one, two = model.phrases.get_parameter("before_1"), model.phrases.get_parameter("before_2")
        torch.testing.assert_close(added[0], torch.zeros(64))
        torch.testing.assert_close(added[1], table[5] @ one)
        torch.testing.assert_close(added[3], table[7] @ one + table[6] @ two)
        assert added[3].norm() > 0.1 * table[8].norm()
    # Rows without these columns, of prompts that have nothing before, are read all the same; and every matrix then has
    # a gradient, which processes that train together exchange.
    embedded = model.embed(ids, rows[:, : 1 + len(RELATED)])
    torch.testing.assert_close(embedded, model.embed(ids, None))
    embedded.sum().backward()
    assert not [name for name, matrix in model.phrases.named_parameters() if matrix.grad is None]


def test_ids_alike_before_two_places_raise_their_score() -> None:
    """What `match_lines` adds to queries and keys is larger for a place with the same ids before it than for others."""
    config, before = ModelConfig(), 5
    model = fresh(config, vocabulary=4096, before=before)
    old = {i: [p.weight.clone() for p in (b.self_attn.q_proj, b.self_attn.k_proj)] for i, b in enumerate(model.blocks)}
    match_lines(model, torch.Generator().manual_seed(1))  # once more: what it adds can be told
    context = torch.randint(10, 4096, (500, before + 1), generator=torch.Generator().manual_seed(2))
    ids = torch.cat((context, torch.randint(10, 4096, (500, 1)), context), dim=1)
    with torch.no_grad():
        rows = lines(ids, before)
        x = model.embed(ids, rows) - model.embed(ids, None)
    asking, right, wrong = x[:, -1], x[:, before + 1], x[:, 3]
    for i in (1, 2):
        attention = model.blocks[i].self_attn
        q, k = (p.weight - w for p, w in zip((attention.q_proj, attention.k_proj), old[i], strict=True))
        for head in range(2):
            at = slice(head * 64, head * 64 + 64)
            score = [((asking @ q[at].T) * (key @ k[at].T)).sum(-1) for key in (right, wrong)]
            assert (score[0] > score[1]).float().mean() > 0.9, (i, head)
        assert not q[128:].any()
        assert not k[128:].any()
    assert all(torch.equal(model.blocks[i].self_attn.q_proj.weight, old[i][0]) for i in (0, 3, 4, 5))


def test_a_reader_learns_lines_afterwards(tmp_path: Path) -> None:
    """One that was trained without them: all it had stays, and what reads them is added."""
    config = ModelConfig(layers=3, width=64, heads=4, inner=96)
    old, new = fresh(config), fresh(config, before=4)
    reader = tmp_path / "reader"
    to_llama(old).save_pretrained(reader)
    save_file(dict(old.phrases.state_dict()), reader / PHRASE_FILE)
    assert not load_exported(new, reader)
    for name, value in old.state_dict().items():
        assert torch.equal(new.state_dict()[name], value), name
    match_lines(new, torch.Generator().manual_seed(0))
    changed = {name for name, value in old.state_dict().items() if not torch.equal(new.state_dict()[name], value)}
    assert changed == {f"layers.{i}.self_attn.{p}_proj.weight" for i in (1, 2) for p in "qk"}
    save_file(dict(new.phrases.state_dict()), reader / PHRASE_FILE)
    assert load_phrases(reader, 64).before == 4
    assert load_exported(fresh(config, before=4), reader)
    for before in (0, 3, 5):
        with pytest.raises(ValueError, match=r"before in \[data\] as many"):
            load_exported(fresh(config, before=before), reader)


def test_too_small_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match="needs two layers of 4 heads, not 1 of 2"):
        fresh(ModelConfig(layers=1, width=64, heads=2))
