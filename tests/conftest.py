from __future__ import annotations

from pathlib import Path

import pytest

from .offline import QUESTIONS, Toured, run_in_process


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a transformers encoder of random weights, one layer and 16 dimensions."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tiny-bert")
    words = ("the", "of", "what", "is", "a", "river", "prime", "number", "prove", "integral")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *"abcdefghijklmnopqrstuvwxyz?.0123456789"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Toured:
    """The demo, run once for all tests that look at what it writes and says."""
    folder = tmp_path_factory.mktemp("demo") / "demo-out"
    done = run_in_process(["demo", "--out", str(folder), *QUESTIONS, "--quiet"])
    assert done.returncode == 0, done.stderr
    return Toured(folder=folder, printed=done.stdout)
