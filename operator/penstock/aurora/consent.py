"""Steps that run only when somebody said yes to them. Pure."""

from __future__ import annotations

from dataclasses import replace

from penstock.api.conditions import Reason
from penstock.aurora.state import Desired
from penstock.engine.plan import Step, Wait, When, consent_hash, consents


def consented(desired: Desired, steps: list[Step], waits: list[Wait]) -> list[Step]:
    """Steps that need consent run when the annotation holds the hash of all of them; until then the sentence says what to annotate."""
    asking = [s for s in steps if s.when is When.AFTER_CONSENT]
    if not asking:
        return steps
    subjects = [s.approval for s in asking]
    if consents(desired.approved, subjects):
        return [replace(s, when=When.NOW) if s.when is When.AFTER_CONSENT else s for s in steps]
    what = "; ".join(s.summary for s in asking)
    sentence = (
        f"Consent is needed to {what}: "
        f"kubectl annotate auroracluster {desired.name} penstock.dev/approve={consent_hash(subjects)} --overwrite"
    )
    waits.append(Wait(Reason.WAITING_FOR_CONSENT, sentence))
    return steps
