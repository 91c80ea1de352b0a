"""Names of blocks lead to filters, extractors and formatters, and to nothing else."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import C4BadWordsFilter, RegexFilter, SamplerFilter
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter

from filters.block_classes import depends_on_order, find_block, kind_of, required_packages
from winnow import WinnowError

OWN = """
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter


class Good(BaseFilter):
    def filter(self, doc):
        return True


class Runs(Good):
    def run(self, data, rank=0, world_size=1):
        yield from data


class Counts(PipelineStep):
    def run(self, data, rank=0, world_size=1):
        yield from data


class Needs(Good):
    _requires_dependencies = [("no_such_module", "no-such-package")]


class Lacks(Good):
    _requires_dependencies = [("lacking_of_tests", "trafilatura")]


class Nothing:
    pass
"""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("RegexFilter", "filter"),
        ("datatrove.pipeline.filters:RegexFilter", "filter"),
        ("datatrove.pipeline.decont:NGramsDecontFilter", "filter"),
        ("FTFYFormatter", "formatter"),
        ("Trafilatura", "extractor"),
        ("own.py:Good", "filter"),
    ],
)
def test_a_block_is_named_alone_with_its_module_or_with_its_file(
    name: str, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    found = find_block(name, tmp_path)
    assert found.__name__ == name.rpartition(":")[2]
    assert kind_of(found) == kind


@pytest.mark.parametrize(
    ("name", "code", "hint"),
    [
        ("RegexFilt", "unknown-block", "did you mean 'RegexFilter'? for others write module:Class"),
        ("Zzzzzzzzz", "unknown-block", "it has: C4BadWordsFilter"),
        ("own.py:Godo", "unknown-class", "did you mean 'Good'?"),
        ("gone.py:Good", "no-plugin-file", "own.py"),
        ("datatrove.pipeline.filters:RegexFilt", "unknown-class", "did you mean 'RegexFilter'?"),
        ("no_such_module:Good", "no-module", "name an installed module"),
        ("own.py:Nothing", "not-a-block", "derive it from BaseFilter"),
        ("json:dumps", "not-a-block", "derive it from BaseFilter"),
        ("own.py:Counts", "not-a-filter", "derive it from BaseFilter, BaseExtractor or"),
        ("ParquetReader", "not-a-filter", "sources read documents"),
        ("JsonlWriter", "not-a-filter", "corpus/"),
        ("MinhashDedupSignature", "not-a-filter", "exact_dedup and minhash_dedup"),
        ("WordStats", "not-a-filter", "winnow measure"),
        ("DocumentTokenizer", "not-a-filter", "proxy"),
        ("NGramsDecontIndexer", "not-a-filter", "decontaminate"),
        ("datatrove.pipeline.filters.base_filter:BaseFilter", "abstract-block", "derives from it"),
        ("own.py:Runs", "own-run", "move what it does into filter()"),
        ("own.py:Needs", "missing-package", "pip install no-such-package"),
        ("own.py:Lacks", "missing-package", "No module named 'no_such_module'"),
    ],
)
def test_what_can_be_no_step_is_refused_with_what_to_do(
    name: str, code: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lacking_of_tests.py").write_text("import no_such_module\n")
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(WinnowError) as caught:
        find_block(name, tmp_path)
    assert caught.value.code == code
    assert hint in caught.value.hint


def test_packages_that_a_block_needs_are_named_for_import_and_for_installation() -> None:
    assert required_packages(RegexFilter) == []
    assert required_packages(FTFYFormatter) == [("ftfy", "ftfy")]
    assert required_packages(Trafilatura) == [("trafilatura", "trafilatura")]


def no_bad_words(keep_fraction: float) -> Any:
    return C4BadWordsFilter(keep_fraction=keep_fraction)


class Draws(BaseFilter):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def filter(self, doc: Any) -> bool:
        return True


@pytest.mark.parametrize(
    ("block", "hint"),
    [
        (SamplerFilter(seed=5), "use the step sampler"),
        (no_bad_words(0.5), "use the step c4_badwords"),
        (no_bad_words(0), ""),
        (PIIFormatter(), "one email_replacement and one ip_replacement"),
        (PIIFormatter(email_replacement="<MAIL>"), "one email_replacement and one ip_replacement"),
        (PIIFormatter(email_replacement="<MAIL>", remove_ips=False), ""),
        (PIIFormatter(email_replacement="<MAIL>", ip_replacement=("<IP>",)), ""),
        (Trafilatura(), "deduplicate: false"),
        (Trafilatura(deduplicate=False), ""),
        (Draws(np.random.default_rng(5).normal), "value draws random numbers in turn"),
        (Draws(random.Random(5)), "value draws random numbers in turn"),
        (Draws(5), ""),
        (RegexFilter("x"), ""),
    ],
)
def test_blocks_that_go_by_earlier_documents_are_known(block: Any, hint: str) -> None:
    found = depends_on_order(block)
    assert hint in found
    assert bool(found) == bool(hint)
