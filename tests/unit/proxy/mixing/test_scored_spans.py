from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.mixing.scored_spans import CONTEXT_BYTES, SCORED_BYTES, SPANS, scored_part, scored_spans

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=2_000)


@given(TEXTS, st.integers(1, 6), st.integers(0, 300))
def test_spans_are_parts_of_the_document_in_order(text: str, times: int, scored_from: int) -> None:
    text *= times
    spans = scored_spans(text, min(scored_from, len(text) - 1))
    assert sum(len(span.text.encode()) for span in spans) <= SCORED_BYTES + 3 * SPANS
    at = 0
    for span in spans:
        assert span.context + span.text in text
        assert text.startswith(span.context + span.text) or not span.begins
        assert len(span.context.encode()) <= CONTEXT_BYTES + 3
        at = text.index(span.text, at) + 1


@given(st.text("abc déf", min_size=1, max_size=SCORED_BYTES // 2))
def test_a_short_document_is_scored_whole_from_its_beginning(text: str) -> None:
    (span,) = scored_spans(text)
    assert (span.context, span.text, span.begins) == ("", text, True)
    assert scored_part(text) == text


def test_a_long_document_is_scored_at_its_beginning_end_and_between() -> None:
    text = "".join(f"{number:05} " for number in range(10_000))
    spans = scored_spans(text)
    assert len(spans) == SPANS
    assert text.startswith(spans[0].text)
    assert text.endswith(spans[-1].text)
    places = [text.index(span.text) / len(text) for span in spans]
    assert all(abs(place - number / 3) < 0.02 for number, place in enumerate(places))
    assert [span.begins for span in spans] == [True, False, False, False]
    assert all(len(span.context) == CONTEXT_BYTES for span in spans[1:])


def test_of_a_question_with_an_answer_the_answer_alone_is_scored() -> None:
    (span,) = scored_spans("2 + 2 = 4", 7)
    assert (span.context, span.text, span.begins) == ("2 + 2 =", " 4", True)
