"""Taking a table down: the plan of an object that is being deleted. Nothing is deleted before what must be kept of it is kept."""

from __future__ import annotations

from penstock.api.conditions import Reason
from penstock.api.forms import DeletionPolicy
from penstock.api.meta import ADOPTABLE_BY, OWNER_TAG
from penstock.dynamo import facets, scaling
from penstock.dynamo.ownership import Claim, claim
from penstock.dynamo.state import Desired, Observed
from penstock.engine.plan import Effect, Plan, Refusal, Step, Wait


def plan(desired: Desired, observed: Observed, poll: float) -> Plan:
    """gone is set once nothing is left that the operator has to take down. poll: seconds until a transition is looked at again."""
    table = observed.table
    if table is None:
        return Plan(gone=True)
    claimed = claim(desired, observed)
    if claimed is Claim.MARKED:
        sentence = f"Table {table.name} was marked a moment ago; the mark is read back before the table goes."
        return Plan(waits=(Wait(Reason.DELETING, sentence, 2.0),))
    if claimed is Claim.RESTORED and observed.tags is not None and table.status != "DELETING":
        # It may be our own restore, which must not stay behind, or another's, which must not go: the mark tells.
        if table.status in ("CREATING", "UPDATING"):
            sentence = f"Deletion waits: AWS is still restoring table {table.name}."
            return Plan(waits=(Wait(Reason.DELETING, sentence, poll),))
        return Plan((facets.mark(desired, table, adopted=False),))
    if claimed not in (Claim.OURS, Claim.RESTORED):
        return Plan(gone=True, notes=(f"table {table.name} was never ours and stays",))
    policy = desired.spec.deletion_policy
    if policy is DeletionPolicy.RETAIN:
        return _retain(desired, observed, table.arn)
    if table.status == "DELETING":
        return Plan(waits=(Wait(Reason.DELETING, f"Table {table.name} is being deleted by AWS.", poll),))
    if table.status in ("CREATING", "UPDATING"):
        sentence = f"Deletion waits: table {table.name} is still changing, and AWS deletes only a table at rest."
        return Plan(waits=(Wait(Reason.DELETING, sentence, poll),))
    # Protection first: it is the user's word that the table must not go, and a backup would be taken for nothing.
    if table.protected and desired.spec.deletion_protection is not False:
        return Plan(
            refusals=(
                Refusal(
                    Reason.DELETION_PROTECTED,
                    f"Deletion waits: AWS deletion protection of table {table.name} is on; set spec.deletionProtection: false to let it go.",
                    again=15.0,
                ),
            )
        )
    delete = Step(
        "dynamodb",
        "DeleteTable",
        {"TableName": table.name},
        f"delete table {table.name}",
        effect=Effect.DESTROY,
        facet="table",
        told=("Deleting", f"Deleting table {table.name}{_kept(observed)}."),
    )
    before = [*_unprotect(table.name, table.protected), *scaling.removal(observed)]
    # AWS took a backup itself when it archived the table, and takes no other of it.
    if policy is DeletionPolicy.DELETE or table.status == "ARCHIVED":
        return Plan(tuple(before) or (delete,))
    backup = observed.final_backup
    if backup is None:
        if not observed.final_backup_read:
            return Plan(waits=(Wait(Reason.BACKING_UP, f"Looking for the final backup of table {table.name}.", poll),))
        take = Step(
            "dynamodb",
            "CreateBackup",
            {"TableName": table.name, "BackupName": desired.final_backup_name},
            f"take the final backup {desired.final_backup_name}",
            facet="final_backup",
            told=("FinalBackup", f"Taking the final backup {desired.final_backup_name} of table {table.name}."),
        )
        return Plan((take,))
    if backup.status != "AVAILABLE":
        return Plan(waits=(Wait(Reason.BACKING_UP, f"Final backup {backup.name} is being taken.", poll),))
    return Plan(tuple(before) or (delete,))


def _retain(desired: Desired, observed: Observed, arn: str) -> Plan:
    """The table stays as it is; only our mark goes, so that somebody else may adopt it."""
    if observed.tags is not None and observed.tags.get(OWNER_TAG) == desired.owner:
        steps = []
        if ADOPTABLE_BY not in observed.tags and facets.room(observed.tags) > 0:
            # An object of the same namespace may take it over again.
            steps.append(
                Step(
                    "dynamodb",
                    "TagResource",
                    {"ResourceArn": arn, "Tags": [{"Key": ADOPTABLE_BY, "Value": desired.namespace}]},
                    f"let namespace {desired.namespace} take table {desired.table_name} over again",
                    facet="tags",
                )
            )
        step = Step(
            "dynamodb",
            "UntagResource",
            {"ResourceArn": arn, "TagKeys": [OWNER_TAG]},
            f"let go of table {desired.table_name}",
            facet="tags",
            told=("Retained", f"Table {desired.table_name} stays in AWS, as deletionPolicy Retain says."),
        )
        return Plan((*steps, step))
    return Plan(gone=True)


def _unprotect(name: str, protected: bool) -> list[Step]:
    if not protected:
        return []
    parameters = {"TableName": name, "DeletionProtectionEnabled": False}
    return [Step("dynamodb", "UpdateTable", parameters, f"turn off deletion protection of {name}", facet="table")]


def _kept(observed: Observed) -> str:
    if observed.final_backup is not None:
        return f"; its items are in backup {observed.final_backup.arn}"
    return ", without a final backup, as deletionPolicy Delete says"
