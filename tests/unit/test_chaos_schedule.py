"""What chaos does is chosen by its seed before it begins, so that a run can be done again."""

from __future__ import annotations

import random
from collections import Counter

from penstock_lab.chaos.schedule import Step, schedule
from penstock_lab.chaos.subjects import chosen


def run(seed: int, prefix: str = "x") -> tuple[list[Step], Counter[str]]:
    rng = random.Random(seed)
    subjects = chosen(rng, 100, prefix)
    return schedule(rng, subjects, 600, 40), Counter(subject.kind for subject in subjects)


def test_the_seed_decides_and_the_names_do_not():
    assert run(1) == run(1, "y")
    assert run(1) != run(2)


def test_everything_happens_and_each_renamed_cluster_gets_its_name_back_before_anything_else():
    steps, kinds = run(1)
    assert sum(kinds.values()) == 100
    assert min(kinds.values()) > 1
    assert {s.action for s in steps} == {"edit", "drift", "recreate", "fault", "kill", "suspend", "api away"}
    assert [s.at for s in steps] == sorted(s.at for s in steps)
    renamed = {s.target for s in steps if s.details.get("what") == "rename"}
    assert renamed
    for target in renamed:
        mine = [s.details.get("what") for s in steps if s.target == target]
        assert mine[mine.index("rename") + 1] == "rename back"
