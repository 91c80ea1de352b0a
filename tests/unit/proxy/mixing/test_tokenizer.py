from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from pipeline.engine.fingerprint import sha256_file
from pipeline.engine.stage import StageOutputs
from pipeline.errors import Refusal, ShardError
from proxy.mixing.mixing_tasks import CopyTokenizerTask, HeldOutTask, SplitTask, TrainTokenizerTask
from proxy.mixing.tokenizer import committed_encoder, load_encoder
from proxy.proxy_settings import END_OF_TEXT, MAX_VOCABULARY, TokenizerSpec
from winnow.testing import Workbench, batch_of

TEXTS = [
    f"the cat number {i} sat on the mat of the dog, naïve {chr(0x4E00 + i)}" for i in range(99)
]


def save(path: Path, vocabulary: int = 300, **changes: object) -> Path:
    """A byte-level tokenizer file, with parts replaced."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    for name, value in changes.items():
        setattr(tokenizer, name, value)
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json")


def trained(bench: Workbench, texts: list[str], vocabulary: int = 300) -> StageOutputs:
    corpus = bench.corpus({"web-0": batch_of("web", texts)}).outputs
    held = bench.done("held_out", {"h": HeldOutTask(corpus, (), (), 0)})
    split = bench.done("split", {"web-0": SplitTask(corpus, "web-0", held, 0)})
    return bench.done(
        "tokenizer", {"t": TrainTokenizerTask(corpus, split, vocabulary, END_OF_TEXT)}
    )


def test_training_gives_the_vocabulary_asked_for(bench: Workbench) -> None:
    stage = trained(bench, TEXTS, 310)
    encoder = committed_encoder(stage, END_OF_TEXT)
    assert (encoder.vocabulary, encoder.end, encoder.by_segment) == (310, 0, True)
    metrics = stage.receipts()[0].metrics
    assert metrics["sample_documents"] == len(TEXTS)
    assert metrics["sample_bytes"] == sum(len(text.encode()) for text in TEXTS)


def test_training_in_other_processes_gives_the_same_bytes(tmp_path: Path, root: Path) -> None:
    script = (
        "import sys; sys.path[:0] = [sys.argv[2], sys.argv[2] + '/tests/support']\n"
        "from pathlib import Path\n"
        "from winnow.testing import Workbench\n"
        "from tests.unit.proxy.mixing.test_tokenizer import TEXTS, trained\n"
        "print(trained(Workbench(Path(sys.argv[1])), TEXTS, 600).receipts()[0].outputs[0].sha256)"
    )
    found = {
        subprocess.run(
            [
                sys.executable,
                "-c",
                script,
                str(tmp_path / str(n)),
                str(root),
            ],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": str(n), "RAYON_NUM_THREADS": str(n + 1), "PATH": ""},
        ).stdout
        for n in range(2)
    }
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


def test_nothing_to_train_on_is_said(bench: Workbench) -> None:
    with pytest.raises(ShardError, match="no document is left") as caught:
        trained(bench, [])
    assert caught.value.code == "no-training-side"


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back_and_never_holds_control_tokens(plain: Path, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode() + END_OF_TEXT
    encoder = load_encoder(plain, END_OF_TEXT)
    ids = encoder.tokenizer.encode(text).ids
    assert encoder.end not in ids
    assert encoder.tokenizer.decode(ids) == text


def test_a_file_is_taken_as_it_is(bench: Workbench, plain: Path) -> None:
    stage = bench.done(
        "tokenizer", {"t": CopyTokenizerTask(plain, sha256_file(plain), END_OF_TEXT)}
    )
    assert stage.outputs()[0].read_bytes() == plain.read_bytes()
    assert stage.receipts()[0].metrics == {"vocabulary": 300}


def test_a_file_that_changed_after_the_plan_fails(bench: Workbench, plain: Path) -> None:
    with pytest.raises(ShardError, match="has changed"):
        bench.done("tokenizer", {"t": CopyTokenizerTask(plain, "0" * 64, END_OF_TEXT)})


def test_what_loses_text_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "lower.json", normalizer=normalizers.Lowercase())
    with pytest.raises(Refusal, match="does not give text back") as caught:
        load_encoder(path, END_OF_TEXT)
    assert caught.value.code == "tokenizer-lossy"


def test_a_vocabulary_beyond_every_published_one_is_refused(tmp_path: Path) -> None:
    vocabulary = {f"w{i}": i for i in range(MAX_VOCABULARY + 1)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    tokenizer.save(str(tmp_path / "large.json"))
    with pytest.raises(Refusal, match=r"1,048,577 tokens") as caught:
        load_encoder(tmp_path / "large.json", END_OF_TEXT)
    assert caught.value.code == "tokenizer-size"


def test_a_missing_end_of_text_is_refused(plain: Path) -> None:
    with pytest.raises(Refusal, match="no token '</s>'") as caught:
        load_encoder(plain, "</s>")
    assert caught.value.code == "tokenizer-end"


@pytest.mark.parametrize("content", [None, "", "{}", "not json"])
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Refusal) as caught:
        load_encoder(path, END_OF_TEXT)
    assert caught.value.code == "tokenizer-file"


def test_another_pattern_is_not_cut_by_segment(tmp_path: Path) -> None:
    pattern = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    assert not load_encoder(
        save(tmp_path / "t.json", pre_tokenizer=pattern), END_OF_TEXT
    ).by_segment


@pytest.mark.parametrize(
    "spec",
    [
        {"vocabulary": 100},
        {"vocabulary": MAX_VOCABULARY + 1},
        {"vocabulary": 300, "file": "t.json"},
    ],
)
def test_impossible_specs_are_refused(spec: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TokenizerSpec.model_validate(spec)
