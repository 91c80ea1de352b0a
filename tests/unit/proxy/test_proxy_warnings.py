from __future__ import annotations

from typing import Any

from proxy.proxy_warnings import mix_warnings, mixes_that_lack_text, target_warnings


def mix(
    tokens: tuple[int, int],
    wanted: int | None = None,
    name: str = "half",
    low: float | None = None,
    scores: tuple[float | None, float | None] = (None, None),
) -> dict[str, Any]:
    total = sum(tokens)
    return {
        "mix": name,
        "tokens": total,
        "wanted": wanted or total,
        "short": total < (wanted or total),
        "components": [
            {"component": source, "tokens": count, "weight": 0.5}
            | {"low": low, "high": None, "lowest": scores[0], "highest": scores[1]}
            for source, count in zip(("web", "docs"), tokens, strict=True)
        ],
    }


def test_a_mix_with_other_shares_than_asked_for_is_named_once_with_both() -> None:
    found = mix_warnings([mix((870, 130)), mix((870, 130)), mix((500, 500), name="even")])
    assert list(found) == ["half"]
    (text,) = found["half"]
    assert "web 0.87 instead of 0.50, docs 0.13 instead of 0.50" in text


def test_shares_that_differ_by_rounding_are_no_warning() -> None:
    assert mix_warnings([mix((505, 495))]) == {}


def test_a_mix_that_ended_short_is_named_with_its_tokens() -> None:
    (text,) = mix_warnings([mix((500, 500), wanted=2_000)])["half"]
    assert "1,000 of 2,000 tokens" in text


def test_a_cut_at_an_edge_of_the_scores_is_named_with_their_range() -> None:
    found = mix_warnings([mix((500, 500), low=0.00059, scores=(0.00001, 1.0))])["half"]
    assert "cuts `web` at the score 0.00059" in found[0]
    assert "lowest 1 % of the range (1e-05 to 1)" in found[0]
    (high,) = {text.split("in the ")[1][:7] for text in mix_warnings(
        [mix((500, 500), low=0.999, scores=(0.0, 1.0))])["half"]}  # fmt: skip
    assert high == "highest"


def test_a_cut_amid_the_scores_or_none_is_no_warning() -> None:
    assert mix_warnings([mix((500, 500), low=0.4, scores=(0.0, 1.0))]) == {}
    assert mix_warnings([mix((500, 500), low=1.0, scores=(1.0, 1.0))]) == {}
    assert mix_warnings([mix((500, 500), scores=(0.0, 1.0))]) == {}


def test_a_mix_lacks_text_by_its_shares_or_its_tokens_and_not_by_its_cuts() -> None:
    cut = mix((500, 500), low=0.00059, scores=(0.00001, 1.0), name="cut")
    missed, short = mix((870, 130), name="missed"), mix((500, 500), wanted=2_000, name="short")
    assert mixes_that_lack_text([cut, missed, missed, short]) == ["missed", "short"]


def test_a_target_of_few_documents_and_rows_left_out_are_named() -> None:
    found = target_warnings(
        {
            "few": {"documents": 12, "left_out": 0},
            "some": {"documents": 400, "left_out": 3},
            "many": {"documents": 21, "left_out": 0},
        }
    )
    assert ["`few`" in found[0], "12 documents" in found[0], "`some`" in found[1]] == [True] * 3
    assert len(found) == 2
