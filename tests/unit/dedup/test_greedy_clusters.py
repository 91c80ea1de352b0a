from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dedup.greedy_clusters import first_occurrences, greedy_clusters, largest_cluster, shared_groups

# Few values, so that rows repeat; the largest, so that nothing is taken for a sign.
KEYS = st.lists(st.tuples(st.sampled_from([0, 1, 2**64 - 1]), st.integers(0, 2)), max_size=30)
TABLES = st.integers(0, 12).flatmap(
    lambda documents: st.lists(
        st.lists(st.integers(-1, 2), min_size=documents, max_size=documents),
        min_size=1,
        max_size=3,
    )
)


def groups_of(tables: list[list[int]]) -> np.ndarray:
    return np.array(tables, np.int32).reshape(len(tables), -1)


@given(KEYS)
def test_first_occurrences_are_the_first_of_equal_rows(keys: list[tuple[int, int]]) -> None:
    firsts = first_occurrences(np.array(keys, np.uint64).reshape(-1, 2))
    assert firsts.tolist() == [keys.index(key) for key in keys]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=30))
def test_groups_are_shared_by_equal_keys_that_count(rows: list[tuple[int, bool]]) -> None:
    keys = np.array([key for key, _ in rows], np.uint64)
    among = np.array([counts for _, counts in rows], np.bool_)
    groups = shared_groups(keys, among)
    for i, (key, counts) in enumerate(rows):
        alike = [j for j, row in enumerate(rows) if counts and row == (key, True)]
        expected = alike if len(alike) > 1 else []
        assert np.flatnonzero((groups == groups[i]) & (groups[i] >= 0)).tolist() == expected


def test_the_largest_cluster_counts_its_survivor() -> None:
    assert largest_cluster(np.array([7, 3, 7])) == 3
    assert largest_cluster(np.array([], np.int64)) == 0


def test_similarity_is_not_transitive() -> None:
    # 0 ~ 1 and 1 ~ 2, but not 0 ~ 2: a transitive closure would drop 2 as well.
    like = {(0, 1), (1, 2)}
    found = greedy_clusters(
        np.zeros((1, 3), np.int32), lambda one, other: float((one, other) in like), 0.5, most=9
    )
    assert found.dropped.tolist() == [1]
    assert found.survivors.tolist() == [0]
    assert found.compared == 2  # 0 with 1 and 0 with 2; 1 is gone before 2 comes


def test_only_documents_that_share_a_group_are_compared() -> None:
    seen: list[tuple[int, int]] = []

    def similar(one: int, other: int) -> float:
        seen.append((one, other))
        return 0.0

    greedy_clusters(groups_of([[0, 0, -1, 1, 1], [0, -1, 0, -1, 0]]), similar, 0.5, most=9)
    assert seen == [(0, 1), (0, 2), (0, 4), (2, 4), (3, 4)]


def test_a_crowded_group_is_capped_and_what_is_left_out_is_counted() -> None:
    unlike = greedy_clusters(np.zeros((1, 6), np.int32), lambda one, other: 0.0, 0.5, most=2)
    # Documents 3, 4 and 5 did not see 1, 2 and 3 earlier survivors.
    assert (unlike.compared, unlike.skipped) == (1 + 2 + 2 + 2 + 2, 1 + 2 + 3)
    alike = greedy_clusters(np.zeros((1, 6), np.int32), lambda one, other: 1.0, 0.5, most=2)
    assert (alike.dropped.tolist(), alike.skipped) == ([1, 2, 3, 4, 5], 0)


@given(TABLES, st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11))))
def test_greedy_clusters_follow_their_definition(
    tables: list[list[int]], like: set[tuple[int, int]]
) -> None:
    found = greedy_clusters(
        groups_of(tables), lambda one, other: float((one, other) in like), 1.0, most=10**6
    )
    kept: list[int] = []
    expected: list[tuple[int, int]] = []
    for document in range(len(tables[0])):
        edges = [
            other
            for other in kept
            if (other, document) in like
            and any(table[other] == table[document] >= 0 for table in tables)
        ]
        if edges:
            expected.append((document, edges[0]))
        else:
            kept.append(document)
    pairs = zip(found.dropped.tolist(), found.survivors.tolist(), strict=True)
    assert list(pairs) == expected
    assert found.skipped == 0
    assert found.similarity.tolist() == [1.0] * len(expected)
