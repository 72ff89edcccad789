"""Everything around the table that has calls of its own: TTL, point-in-time recovery, tags, policy, insights, autoscaling.

None of these waits for an index to backfill or for the table to leave UPDATING, where AWS allows it.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG, TAG_PREFIX
from penstock.aws.dynamodb import PROVISIONED, ContinuousBackups, Insights, Table, TimeToLive
from penstock.dynamo import requests, scaling
from penstock.dynamo.state import Desired, Observed
from penstock.engine.plan import Refusal, Step, Wait

# Of AWS, for one table (Quotas in Amazon DynamoDB).
_MOST_TAGS = 50
_CHANGING = ("ENABLING", "DISABLING")
# Seconds between two looks at a change that has to be turned round.
_TURN = 2.0


def steps(desired: Desired, observed: Observed, table: Table) -> list[Step]:
    """All differences in the facets that were read. The owner's mark comes first: it is what makes the rest ours to change."""
    found = [
        *_tags(desired, observed, table),
        *_recovery(desired, observed.backups, table.name),
        *_ttl(desired, observed.ttl, table.name),
        *_policy(desired, observed.policy, table.arn),
        *_insights(desired, observed.insights, table),
    ]
    # Autoscaling is for provisioned tables; the switch goes first.
    if table.billing == PROVISIONED or observed.scaling:
        found += scaling.steps(desired, observed.scaling, table)
    return found


def waits(desired: Desired, observed: Observed) -> list[Wait]:
    """Changes that AWS is still making and that do not end where the spec wants it: only afterwards can they be turned round."""
    found = []
    ttl, wanted = observed.ttl, desired.spec.ttl
    if ttl is not None and wanted is not None and ttl.status in _CHANGING:
        there = (ttl.status == "ENABLING") == wanted.enabled
        if not there or (wanted.enabled and ttl.attribute not in ("", wanted.attribute)):
            found.append(Wait(Reason.UPDATING, f"TTL is still {ttl.status.lower()}; it is changed afterwards.", _TURN))
    statuses = observed.insights.statuses if observed.insights is not None else {}
    for name, enabled in _wanted_insights(desired).items():
        status = statuses.get(name, "")
        if status in _CHANGING and (status == "ENABLING") != enabled:
            what = f"Contributor Insights{f' of index {name}' if name else ''}"
            found.append(Wait(Reason.UPDATING, f"{what} is still {status.lower()}; it is changed afterwards.", _TURN))
    return found


def after_creation(desired: Desired) -> list[Step]:
    """What will be done once the table is there, for the plan of a table that is not yet."""
    spec = desired.spec
    blank = Table(desired.table_name, "", "", "CREATING", None, requests.key_schema(spec.key), {}, "")
    off = ContinuousBackups(enabled=False)
    found = [
        *_recovery(desired, off, desired.table_name),
        *_ttl(desired, TimeToLive("DISABLED"), desired.table_name),
        *_insights(desired, Insights(), blank),
        *scaling.steps(desired, (), blank),
    ]
    return found


def foreign_tags(desired: Desired, observed: Observed) -> list[str]:
    """Tags that somebody else put on the table. They are left alone."""
    wanted = requests.tags(desired)
    managed = desired.status.managed.tags if desired.status.managed else ()
    return sorted(
        k
        for k in observed.tags or ()
        if k not in wanted and k not in managed and not k.startswith(("aws:", TAG_PREFIX))
    )


def _drift(desired: Desired, what: str, before: object, after: object) -> str:
    return f"{what} was {before} and is set back to {after}." if desired.settled else ""


def mark(desired: Desired, table: Table, *, adopted: bool) -> Step:
    """The owner tag alone: whoever else wants the table must find nothing but a mark that is not its own."""
    told = ("Adopted", f"Took over table {table.name}.") if adopted else None
    parameters = {"ResourceArn": table.arn, "Tags": requests.tag_list({OWNER_TAG: desired.owner})}
    return Step(
        "dynamodb", "TagResource", parameters, f"mark table {table.name} as this object's", facet="tags", told=told
    )


def no_room_for_mark(observed: Observed, table: Table) -> Refusal | None:
    """Without the mark a table cannot be told from anybody else's."""
    if OWNER_TAG in (observed.tags or {}) or room(observed.tags or {}) > 0:
        return None
    sentence = (
        f"Table {table.name} has {_MOST_TAGS} tags, as many as AWS allows, so there is no room for {OWNER_TAG}, which marks it as this object's. "
        f"Remove a tag: aws dynamodb untag-resource --resource-arn {table.arn} --tag-keys KEY."
    )
    return Refusal(Reason.LIMIT_REACHED, sentence)


def refusals(desired: Desired, observed: Observed, table: Table) -> list[Refusal]:
    """Tags for which AWS has no room."""
    if observed.tags is None:
        return []
    missing = _new_tags(desired, observed.tags)
    places = room(observed.tags) + len(_left_tags(desired, observed.tags))
    if len(missing) <= places:
        return []
    foreign = foreign_tags(desired, observed)
    sentence = (
        f"Tags {', '.join(sorted(missing))} do not fit on table {table.name}: AWS allows {_MOST_TAGS}, and {len(foreign)} are of somebody else "
        f"({', '.join(foreign[:5])}, …). Take {len(missing) - places} out of spec.tags, or remove as many from the table: "
        f"aws dynamodb untag-resource --resource-arn {table.arn} --tag-keys KEY."
    )
    return [Refusal(Reason.LIMIT_REACHED, sentence)]


def room(tags: Mapping[str, str]) -> int:
    """How many tags more AWS takes; its own do not count."""
    return _MOST_TAGS - sum(not key.startswith("aws:") for key in tags)


def _new_tags(desired: Desired, tags: Mapping[str, str]) -> set[str]:
    return set(requests.tags(desired)) - set(tags)


def _left_tags(desired: Desired, tags: Mapping[str, str]) -> list[str]:
    """Tags that once stood in the spec and no longer do."""
    wanted = requests.tags(desired)
    managed = desired.status.managed.tags if desired.status.managed else ()
    return sorted(
        k
        for k in tags
        if k in managed and k not in wanted and desired.spec.tags is not None and not k.startswith(TAG_PREFIX)
    )


def _tags(desired: Desired, observed: Observed, table: Table) -> list[Step]:
    if observed.tags is None:
        return []
    wanted = requests.tags(desired)
    changed = {k: v for k, v in wanted.items() if observed.tags.get(k) != v}
    removed = _left_tags(desired, observed.tags)
    if len(_new_tags(desired, observed.tags)) > room(observed.tags) + len(removed):
        # AWS takes all or none, and the mark must not be among what it does not take.
        changed = {k: v for k, v in changed.items() if k in observed.tags or k == OWNER_TAG}
    found = []
    if changed:
        names = ", ".join(sorted(changed))
        before = ", ".join(f"{k}={observed.tags.get(k, '(none)')}" for k in sorted(changed))
        after = ", ".join(f"{k}={v}" for k, v in sorted(changed.items()))
        told = ("Adopted", f"Took over table {table.name}.") if OWNER_TAG in changed and desired.spec.adopt else None
        found.append(
            Step(
                "dynamodb",
                "TagResource",
                {"ResourceArn": table.arn, "Tags": requests.tag_list(changed)},
                f"set tags {names}",
                facet="tags",
                drift=_drift(desired, "Tags", before, after),
                told=told,
            )
        )
    if removed:
        parameters = {"ResourceArn": table.arn, "TagKeys": removed}
        untag = Step("dynamodb", "UntagResource", parameters, f"remove tags {', '.join(removed)}", facet="tags")
        # Where all but the last places are taken, room must be made first.
        full = len(_new_tags(desired, observed.tags)) > room(observed.tags)
        found = [untag, *found] if full else [*found, untag]
    return found


def _recovery(desired: Desired, have: ContinuousBackups | None, name: str) -> list[Step]:
    wanted = desired.spec.wants_pitr
    if wanted is None or have is None:
        return []
    days = desired.spec.pitr_days
    if wanted == have.enabled and (not wanted or days is None or not have.days or days == have.days):
        return []
    specification: dict[str, object] = {"PointInTimeRecoveryEnabled": wanted}
    if wanted and days is not None:
        specification["RecoveryPeriodInDays"] = days
    after = f"on{f' for {days} days' if days else ''}" if wanted else "off"
    before = f"on{f' for {have.days} days' if have.days else ''}" if have.enabled else "off"
    return [
        Step(
            "dynamodb",
            "UpdateContinuousBackups",
            {"TableName": name, "PointInTimeRecoverySpecification": specification},
            f"turn point-in-time recovery {after}",
            facet="backups",
            drift=_drift(desired, "Point-in-time recovery", before, after),
        )
    ]


def _ttl(desired: Desired, have: TimeToLive | None, name: str) -> list[Step]:
    """AWS changes the attribute only by turning TTL off and, an hour later, on again."""
    wanted = desired.spec.ttl
    if wanted is None or have is None or have.status in _CHANGING:
        return []
    on = have.status == "ENABLED"
    if on == wanted.enabled and (not on or not have.attribute or have.attribute == wanted.attribute):
        return []
    enable = not on
    attribute = wanted.attribute if enable else have.attribute or wanted.attribute
    words = f"turn TTL {'on' if enable else 'off'} ({attribute})"
    if not enable and wanted.enabled:
        words += f"; it is turned on again for {wanted.attribute}, after AWS's hour between two changes"
    before = f"on ({have.attribute})" if on else "off"
    after = f"on ({wanted.attribute})" if wanted.enabled else "off"
    return [
        Step(
            "dynamodb",
            "UpdateTimeToLive",
            {"TableName": name, "TimeToLiveSpecification": {"Enabled": enable, "AttributeName": attribute}},
            words,
            facet="ttl",
            drift=_drift(desired, "TTL", before, after),
        )
    ]


def _policy(desired: Desired, have: str | None, arn: str) -> list[Step]:
    wanted = desired.spec.resource_policy
    if wanted is None or have is None:
        return []
    document = wanted.document
    if document is None:
        if not have:
            return []
        drift = _drift(desired, "The resource policy", "there", "none")
        return [
            Step(
                "dynamodb",
                "DeleteResourcePolicy",
                {"ResourceArn": arn},
                "remove the resource policy",
                facet="policy",
                drift=drift,
            )
        ]
    text = requests.policy_text(document)
    if have and requests.same_policy(have, text):
        return []
    drift = _drift(desired, "The resource policy", "another" if have else "gone", "the spec's")
    return [
        Step(
            "dynamodb",
            "PutResourcePolicy",
            {"ResourceArn": arn, "Policy": text},
            "set the resource policy",
            facet="policy",
            drift=drift,
        )
    ]


def _insights(desired: Desired, have: Insights | None, table: Table) -> list[Step]:
    if have is None:
        return []
    found = []
    for name, enabled in _wanted_insights(desired).items():
        if name and table.status != "CREATING" and table.index(name) is None:
            continue
        status = have.statuses.get(name, "DISABLED")
        if status in _CHANGING or (status == "ENABLED") == enabled:
            continue
        parameters: dict[str, str] = {
            "TableName": table.name,
            "ContributorInsightsAction": "ENABLE" if enabled else "DISABLE",
        }
        if name:
            parameters["IndexName"] = name
        words = f"turn Contributor Insights {'on' if enabled else 'off'}{f' for index {name}' if name else ''}"
        drift = _drift(desired, "Contributor Insights", status.lower(), "on" if enabled else "off")
        found.append(Step("dynamodb", "UpdateContributorInsights", parameters, words, facet="insights", drift=drift))
    return found


def _wanted_insights(desired: Desired) -> dict[str, bool]:
    """What the spec says of the table ('') and of its indexes, by name."""
    found = {"": desired.spec.contributor_insights}
    found |= {index.name: index.contributor_insights for index in desired.spec.global_indexes or ()}
    return {name: enabled for name, enabled in found.items() if enabled is not None}
