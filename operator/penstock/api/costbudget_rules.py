"""The rules of CostBudget, each once: as CEL for the API server and as Python for everything else."""

from __future__ import annotations

import re
from typing import Final

from penstock.api.model import Rule, Says, matching

_NAME = r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)"
_KEY = rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}"
_A_KEY = 'must be the key of a label, for example "env" or "example.com/team"'

LABEL = matching(_KEY, _A_KEY)
LABELS = Says(
    f"self.all(k, k.matches('^({_KEY})$')) && self.all(k, self[k] == '' || self[k].matches('^{_NAME}$'))",
    lambda labels: all(
        re.fullmatch(_KEY, key) and (value == "" or re.fullmatch(_NAME, value)) for key, value in labels.items()
    ),
    'must have keys and values of labels, for example {env: lab}; a value has at most 63 letters, digits, "-", "_" and "."',
)
LIMIT = Says(
    "!self.matches('^[0.]*$')",
    lambda text: re.fullmatch(r"[0.]*", text) is None,
    'must be more than 0, for example "80"; leave it out for no limit',
)
EXPRESSION: Final = (
    Rule(
        "is missing: In and NotIn compare with at least one value",
        cel="!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
        holds=lambda e: e.operator not in ("In", "NotIn") or bool(e.values),
        at="values",
    ),
    Rule(
        "belongs to In and NotIn only; leave it out or change the operator",
        cel="self.operator in ['In', 'NotIn'] || !has(self.values) || size(self.values) == 0",
        holds=lambda e: e.operator in ("In", "NotIn") or not e.values,
        at="values",
    ),
)
SPEC: Final = (
    Rule(
        "must have monthlyLimit, storageLimit or both",
        cel="has(self.monthlyLimit) || has(self.storageLimit)",
        holds=lambda s: s.monthly_limit is not None or s.storage_limit is not None,
    ),
    Rule(
        "must be in rising order, for example [50, 80, 100]",
        cel="!has(self.alertAt) || size(self.alertAt) < 2 || self.alertAt.isSorted()",
        holds=lambda s: s.alert_at is None or list(s.alert_at) == sorted(s.alert_at),
        at="alertAt",
    ),
    Rule(
        "must not be more than monthlyLimit, of which it is a part",
        cel="!has(self.monthlyLimit) || !has(self.storageLimit)"
        " || !self.monthlyLimit.matches('^[0-9]{1,12}([.][0-9]{1,6})?$')"
        " || !self.storageLimit.matches('^[0-9]{1,12}([.][0-9]{1,6})?$')"
        " || double(self.storageLimit) <= double(self.monthlyLimit)",
        holds=lambda s: (
            s.monthly_limit is None
            or s.storage_limit is None
            or not (s.monthly_limit.says.holds(s.monthly_limit) and s.storage_limit.says.holds(s.storage_limit))
            or s.storage_limit.value <= s.monthly_limit.value
        ),
        at="storageLimit",
    ),
)
