"""Parameter groups of clusters and of instances, and when their parameters come into force.

A dynamic parameter applied immediately is ``applying`` for a moment; a static one, or one applied with
``pending-reboot``, waits for a restart of each instance (Aurora guide, "Working with parameter groups").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..clock import clock
from ..request import Request
from ..settings import settings
from . import catalog, pages, tags, validate
from .refusals import bad_combination, bad_value, fault
from .store import Cluster, Instance, ParameterGroup, Store

# Level to the names that the two families of operations use.
_NAME = {"cluster": "DBClusterParameterGroupName", "instance": "DBParameterGroupName"}
_SHAPE = {"cluster": "DBClusterParameterGroup", "instance": "DBParameterGroup"}
_LISTS = {"cluster": "DBClusterParameterGroups", "instance": "DBParameterGroups"}
_ARN = {"cluster": "cluster-pg", "instance": "pg"}
# Parameters that one modify or reset may name (API reference, ModifyDBClusterParameterGroup).
_MOST = 20
_TABLE_NAMES = "lower_case_table_names"


def _level(request: Request) -> str:
    operation = request.operation
    return (
        "cluster" if "DBCluster" in operation or operation == "DescribeEngineDefaultClusterParameters" else "instance"
    )


def default_name(family: str) -> str:
    return f"default.{family}"


def find(store: Store, level: str, name: str) -> ParameterGroup:
    """The group; a family's default one is made at its first use. Raises AwsError DBParameterGroupNotFound."""
    found = _lookup(store, level, name.lower())
    if found is None:
        raise fault("DBParameterGroupNotFoundFault", f"{_SHAPE[level]} not found: {name.lower()}")
    return found


def _lookup(store: Store, level: str, name: str) -> ParameterGroup | None:
    found = store.parameter_groups.get((level, name))
    family = name.removeprefix("default.")
    if found is None and family != name and family in catalog.families():
        found = ParameterGroup(
            name, level, family, f"Default parameter group for {family}", store.arn(_ARN[level], name)
        )
        store.parameter_groups[level, name] = found
    return found


def of_family(store: Store, level: str, name: str | None, family: str) -> ParameterGroup:
    """The group for something of that family, the default one without a name. Raises AwsError where it does not fit."""
    wanted = (name or default_name(family)).lower()
    group = _lookup(store, level, wanted)
    if group is None:
        # Only those that refer to a cluster's group have a code of their own for one that is not there.
        shape = "DBClusterParameterGroupNotFoundFault" if level == "cluster" else "DBParameterGroupNotFoundFault"
        raise fault(shape, f"{_SHAPE[level]} not found: {wanted}")
    if group.family != family:
        # Two wordings of AWS: the first is of a cluster's group, as quoted for Aurora and Neptune.
        raise bad_combination(
            f"The Parameter Group {group.name} with DBParameterGroupFamily {group.family} cannot be used for this "
            f"instance. Please use a Parameter Group with DBParameterGroupFamily {family}"
            if level == "cluster"
            else f"The parameter group {group.name} with DBParameterGroupFamily {group.family} can't be used for this "
            f"instance. Use a parameter group with DBParameterGroupFamily {family}."
        )
    return group


def describe(group: ParameterGroup) -> dict[str, Any]:
    return {
        _NAME[group.level]: group.name,
        "DBParameterGroupFamily": group.family,
        "Description": group.description,
        f"{_SHAPE[group.level]}Arn": group.arn,
    }


def create(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    level = _level(request)
    name = validate.identifier(_NAME[level], spec[_NAME[level]])
    given = tags.from_list(spec.get("Tags"))
    validate.description("Description", spec["Description"])
    if name.startswith("default."):
        raise bad_value(f"The parameter group name {name} is reserved.")
    if spec["DBParameterGroupFamily"] not in catalog.families():
        raise bad_value(f"ParameterGroupFamily {spec['DBParameterGroupFamily']} is not a valid parameter group family")
    if (level, name) in store.parameter_groups:
        raise fault("DBParameterGroupAlreadyExistsFault", f"Parameter group {name} already exists")
    own = [one for kind, one in store.parameter_groups if kind == level and not one.startswith("default.")]
    most = settings.rds_max_cluster_parameter_groups if level == "cluster" else settings.rds_max_parameter_groups
    if len(own) >= most:
        raise fault("DBParameterGroupQuotaExceededFault", "The request would exceed the quota of DB parameter groups.")
    group = ParameterGroup(
        name, level, spec["DBParameterGroupFamily"], spec["Description"], store.arn(_ARN[level], name), given
    )
    store.parameter_groups[level, name] = group
    return {_SHAPE[level]: describe(group)}


def delete(store: Store, request: Request) -> None:
    level = _level(request)
    name = (request.parameters or {})[_NAME[level]].lower()
    if name.startswith("default."):
        raise fault("InvalidDBParameterGroupStateFault", f"Default DBParameterGroup cannot be deleted: {name}")
    find(store, level, name)
    place = ("cluster", "instance").index(level)
    upgrading = [one.upgrade_groups[place] for one in store.clusters.values() if "EngineVersion" in one.pending]
    if next(iter(store.of_group(level, name)), None) is not None or name in upgrading:
        raise fault(
            "InvalidDBParameterGroupStateFault",
            f"One or more database instances are still members of this parameter group {name}, so the group cannot be "
            "deleted",
        )
    del store.parameter_groups[level, name]


def describe_groups(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    level = _level(request)
    pages.filters(spec, ())
    if spec.get(_NAME[level]):
        return {_LISTS[level]: [describe(find(store, level, spec[_NAME[level]]))]}
    names = sorted(name for kind, name in store.parameter_groups if kind == level)
    shown, marker = pages.named_page(names, spec)
    return {"Marker": marker, _LISTS[level]: [describe(store.parameter_groups[level, name]) for name in shown]}


def describe_parameters(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    level = _level(request)
    group = find(store, level, spec[_NAME[level]])
    source = spec.get("Source")
    if source not in (None, "user", "system", "engine-default"):
        raise bad_value(f"Invalid Source: {source}. Valid values are: user, system, engine-default")
    rows = [row for row in _parameters(group.family, level, group.values) if source in (None, row["Source"])]
    shown, marker = pages.page(rows, spec)
    return {"Marker": marker, "Parameters": list(shown)}


def describe_defaults(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    family = spec["DBParameterGroupFamily"]
    if family not in catalog.families():
        raise bad_value(f"Invalid DBParameterGroupFamily: {family}")
    shown, marker = pages.page(list(_parameters(family, _level(request), {})), spec)
    return {"EngineDefaults": {"DBParameterGroupFamily": family, "Marker": marker, "Parameters": list(shown)}}


def _parameters(family: str, level: str, values: Mapping[str, tuple[str, str]]) -> Iterable[dict[str, Any]]:
    for name, known in sorted(catalog.parameters(family, level).items()):
        own = values.get(name)
        yield {
            "ParameterName": name,
            "ParameterValue": own[0] if own else known.value,
            "Description": known.description,
            "Source": "user" if own else known.source,
            "ApplyType": known.apply_type,
            "DataType": known.data_type,
            "AllowedValues": known.allowed,
            "IsModifiable": known.modifiable,
            "ApplyMethod": own[1] if own else "pending-reboot",
            **({"SupportedEngineModes": ["provisioned"]} if level == "cluster" else {}),
        }


def modify(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    level = _level(request)
    group = _writable(store, level, spec[_NAME[level]])
    wanted = spec["Parameters"]
    if not wanted:
        raise bad_value("The parameter name, value and apply method must be supplied.")
    _check_count(wanted)
    known = catalog.parameters(group.family, level)
    checked: dict[str, tuple[str, str]] = {}
    for one in wanted:
        name, method = one.get("ParameterName"), one.get("ApplyMethod")
        if not name or one.get("ParameterValue") is None or not method:
            raise bad_value("The parameter name, value and apply method must be supplied.")
        if name not in known:
            raise bad_value(f"Could not find parameter with name: {name}")
        validate.parameter(known[name], one["ParameterValue"])
        _check_method(method, known[name].apply_type)
        checked[name] = (one["ParameterValue"], method)
    changed = {name for name, value in checked.items() if group.values.get(name, ("",))[0] != value[0]}
    _check_owners(store, group, group.values | checked)
    group.values |= checked
    for name in sorted(changed):
        value, method = checked[name]
        now = clock.now()
        store.events.emit(
            "RDS-EVENT-0037", group.name, now, arn=group.arn, tags=group.tags, name=name, value=value, method=method
        )
    _put_in_force(store, group, changed, {name: method for name, (_, method) in checked.items()})
    return {_NAME[level]: group.name}


def reset(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    level = _level(request)
    group = _writable(store, level, spec[_NAME[level]])
    known = catalog.parameters(group.family, level)
    if spec.get("ResetAllParameters"):
        if spec.get("Parameters"):
            raise bad_combination("ResetAllParameters cannot be combined with a list of parameters.")
        methods = {
            name: "immediate" if known[name].apply_type == "dynamic" else "pending-reboot" for name in group.values
        }
    else:
        methods = {}
        _check_count(spec.get("Parameters") or ())
        for one in spec.get("Parameters") or ():
            name = one.get("ParameterName", "")
            if name not in known:
                raise bad_value(f"Could not find parameter with name: {name}")
            methods[name] = one.get("ApplyMethod") or "pending-reboot"
            _check_method(methods[name], known[name].apply_type)
        if not methods:
            raise bad_combination("Either ResetAllParameters or a list of parameters must be given.")
    changed = methods.keys() & group.values.keys()
    _check_owners(store, group, {name: value for name, value in group.values.items() if name not in changed})
    for name in changed:
        del group.values[name]
    _put_in_force(store, group, changed, methods)
    return {_NAME[level]: group.name}


def _check_count(parameters: Sequence[Any]) -> None:
    if len(parameters) > _MOST:
        raise bad_combination(f"Cannot modify more than {_MOST} parameters in a single request")


def _check_owners(store: Store, group: ParameterGroup, values: Mapping[str, tuple[str, str]]) -> None:
    for owner in store.of_group(group.level, group.name):
        if isinstance(owner, Cluster):
            check_table_names(owner, table_names(group, values))


def table_names(group: ParameterGroup, values: Mapping[str, tuple[str, str]] | None = None) -> str | None:
    """The group's ``lower_case_table_names``, with ``values`` in place of its own; None of an engine without it."""
    known = catalog.parameters(group.family, group.level).get(_TABLE_NAMES)
    own = (group.values if values is None else values).get(_TABLE_NAMES)
    return own[0] if own else known.value if known else None


def check_table_names(cluster: Cluster, wanted: str | None) -> None:
    """Raises AwsError for another ``lower_case_table_names`` than the cluster's data have.

    MySQL 8 keeps it in the data dictionary (its reference manual, "Identifier Case Sensitivity"); RDS user guide,
    "Parameter exceptions for MySQL DB instances".
    """
    if wanted != cluster.table_names:
        raise bad_combination(
            f"The lower_case_table_names parameter of DB cluster {cluster.identifier} is {cluster.table_names}. Changing "
            "the lower_case_table_names setting isn't supported for MySQL 8.0 and higher versions."
        )


def _check_method(method: str, apply_type: str) -> None:
    if method not in ("immediate", "pending-reboot"):
        raise bad_value(f"Invalid apply method: {method}. Valid values are: immediate, pending-reboot")
    if method == "immediate" and apply_type == "static":
        raise bad_combination("cannot use immediate apply method for static parameter")


def _writable(store: Store, level: str, name: str) -> ParameterGroup:
    group = find(store, level, name)
    if group.default:
        raise fault("InvalidDBParameterGroupStateFault", f"Default DBParameterGroup cannot be modified: {group.name}")
    return group


def _put_in_force(store: Store, group: ParameterGroup, changed: Iterable[str], methods: Mapping[str, str]) -> None:
    changed = set(changed)
    if not changed:
        return
    waits = any(methods[name] == "pending-reboot" for name in changed)
    applies = any(methods[name] == "immediate" for name in changed)
    for owner in store.of_group(group.level, group.name):
        if isinstance(owner, Cluster):
            for instance in store.members(owner):
                apply(store, instance, "cluster", waits=waits)
            cluster: Cluster | None = owner
        else:
            apply(store, owner, "instance", waits=waits)
            cluster = store.clusters.get(owner.cluster)
        if applies and cluster is not None:
            store.plane.parameters_changed(cluster)


def apply(store: Store, instance: Instance, level: str, *, waits: bool) -> None:
    """Parameters of the cluster's or the instance's own group have changed for ``instance``."""
    name = "cluster_parameters" if level == "cluster" else "parameters"
    waits = waits or getattr(instance, name) == "pending-reboot"
    setattr(instance, name, "applying")

    def applied(_: float) -> None:
        # A restart in between has put everything in force.
        if getattr(instance, name) == "applying":
            setattr(instance, name, "pending-reboot" if waits else "in-sync")

    store.at(clock.now() + settings.rds_parameters_s, applied)


def values_in_force(store: Store, cluster: Cluster, instance: Instance | None = None) -> dict[str, str]:
    """Name to value of everything somebody set, an instance's own group over the cluster's."""
    answer: dict[str, str] = {}
    for level, name in (("cluster", cluster.parameter_group), ("instance", instance and instance.parameter_group)):
        group = store.parameter_groups.get((level, name)) if name else None
        if group is not None:
            answer |= {key: value for key, (value, _) in group.values.items()}
    return answer
