"""A tiny encoder made here, loaded by the real library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from needs import need

from classifiers.students import sentence_embedder
from classifiers.students.embeddings import open_embedder
from classifiers.students.preprocessing import TextBatch
from classifiers.students.sentence_embedder import describe, folder_digest, installed
from classifiers.students.student_files import write_card
from classifiers.students.student_loading import open_student
from classifiers.students.student_settings import SentenceTransformer
from classifiers.students.student_training import Recipe, train_student
from pipeline.errors import ShardError


@pytest.fixture(scope="module")
def base(graded: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds ``encoder``, a BERT of two layers with random weights."""
    need("sentence-transformers", installed())
    import torch
    from sentence_transformers import SentenceTransformer as Encoder
    from sentence_transformers.sentence_transformer import modules
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("base")
    words = BertWordPieceTokenizer(lowercase=True)
    words.train_from_iterator(graded.texts.raw.to_pylist()[:100], vocab_size=600)
    words.save_model(str(folder))
    torch.manual_seed(1)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=600, intermediate_size=32, max_position_embeddings=64, **sizes)
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    transformer = modules.Transformer(str(folder / "bert"), max_seq_length=64)
    pooling = modules.Pooling(transformer.get_embedding_dimension())
    Encoder(modules=[transformer, pooling], device="cpu").save(str(folder / "encoder"))
    return folder


def batch(*documents: str) -> TextBatch:
    return TextBatch(pa.array(documents, pa.large_string()))


SETTINGS = SentenceTransformer(kind="sentence-transformers", model="encoder")


def test_documents_become_vectors_that_company_hardly_changes(base: Path) -> None:
    embedder = open_embedder(describe(SETTINGS, base), base, base)
    rows = ["short", "a longer text of several words, " * 20, ""]
    together = embedder.vectors(batch(*rows))
    assert together.shape == (3, 24)
    assert together.dtype == np.float32
    assert not together[2].any()
    alone = np.vstack([embedder.vectors(batch(row)) for row in rows])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert embedder.vectors(batch()).shape == (0, 24)


def test_a_prompt_comes_before_each_document(base: Path) -> None:
    asked = SETTINGS.model_copy(update={"prompt": "query: "})
    plain, prompted = (
        open_embedder(describe(settings, base), base, base) for settings in (SETTINGS, asked)
    )
    assert np.allclose(
        prompted.vectors(batch("some words")), plain.vectors(batch("query: some words")), atol=1e-5
    )


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_student_on_an_encoder_learns_and_is_opened_again(
    graded: Any, base: Path, tmp_path: Path, kind: str
) -> None:
    texts, soft, _, hashes = graded.rows(0, step=5)
    recipe = Recipe(kind, embedding=SETTINGS, hidden=4)  # type: ignore[arg-type]
    card = train_student(recipe, texts, soft, hashes, texts, 1, tmp_path, base)
    write_card(tmp_path / "card.json", card)
    assert list(card["files"]) == ["model.safetensors"]
    student = open_student(tmp_path, base)
    scores = student.score(texts)
    assert np.corrcoef(scores, soft.expected)[0, 1] > 0.5
    with pytest.raises(ShardError, match="encoder is not there"):
        open_student(tmp_path, tmp_path)


def test_an_encoder_that_has_changed_is_refused(base: Path, tmp_path: Path) -> None:
    told = describe(SETTINGS, base)
    assert told["sha256"] == folder_digest(base / "encoder")
    with pytest.raises(ShardError, match="not the one that the student was trained on") as caught:
        open_embedder({**told, "sha256": "0" * 64}, base, base)
    assert caught.value.code == "model-changed"


def test_a_model_of_the_hub_is_named_by_its_commit(tmp_path: Path) -> None:
    settings = SentenceTransformer(
        kind="sentence-transformers", model="owner/encoder", revision="abc"
    )
    told = describe(settings, tmp_path)
    assert (told["model"], told["revision"], told["sha256"]) == ("owner/encoder", "abc", None)


def test_without_the_library_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sentence_embedder, "installed", lambda: False)
    with pytest.raises(ShardError, match="not installed") as caught:
        open_embedder(describe(SETTINGS, tmp_path), tmp_path, tmp_path)
    assert "winnow[embeddings]" in caught.value.hint
