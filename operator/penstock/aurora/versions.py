"""Which version the cluster goes to, and the parameter group family of a version. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.api import engine_version
from penstock.api.auroracluster import AuroraClusterSpec
from penstock.api.conditions import Reason
from penstock.aurora.state import Engine
from penstock.engine.plan import Refusal


def family(engine: str, version: str) -> str:
    """The parameter group family of a version (Aurora guide, "Parameter groups for Amazon Aurora"): aurora-postgresql15, aurora-mysql8.0."""
    return f"{engine}{engine_version.parse(version).major_text}"


def family_in_force(engine: str, running: str) -> str:
    """The family of what runs; '' when AWS does not tell its version, or in no form that is known."""
    return family(engine, running) if running and _readable(running) else ""


def creation_version(spec: AuroraClusterSpec, default: Engine | None) -> str:
    """The version that a new cluster gets; '' while neither the spec nor AWS tells one."""
    return spec.engine.version or (default.version if default else "")


def behind(spec: AuroraClusterSpec, running: str) -> bool:
    """Whether the running version is lower than the wanted one, or of another major."""
    wanted = spec.engine.version
    return bool(wanted and running and _readable(running) and not engine_version.satisfies(running, wanted))


def beyond(wanted: str, running: str) -> bool:
    """Whether a higher version runs than is wanted."""
    return bool(running) and _readable(running) and engine_version.is_lower(wanted, running)


def upgrade(spec: AuroraClusterSpec, running: str, known: Engine | None, name: str) -> str | Refusal | None:
    """The version to upgrade to, None when there is nothing to do, or why not.

    Minors are followed upwards: what AWS has raised is never lowered. A major is raised only where the spec allows it.
    """
    wanted = spec.engine.version
    if not wanted or not behind(spec, running):
        return None
    if engine_version.is_lower(wanted, running):
        return Refusal(
            Reason.INVALID,
            f'Cluster {name} runs {running}, and AWS never lowers a version: write spec.engine.version: "{running}", '
            "or restore a snapshot into a new cluster of the older version.",
        )
    major = not engine_version.same_major(running, wanted)
    if major and not spec.allow_major_upgrade:
        return Refusal(
            Reason.WAITING_FOR_CONSENT,
            f"Going from {running} to {wanted} is a major upgrade: set spec.allowMajorUpgrade: true to have it planned.",
        )
    if engine_version.parse(wanted).exact:
        return wanted
    if known is None:
        sentence = f"What AWS offers to upgrade cluster {name} to from {running} is not known; an exact spec.engine.version needs no such knowledge."
        return Refusal(Reason.UNAVAILABLE, sentence, blocking=False, again=30.0)
    found = _highest(v for v, _ in known.targets if engine_version.same_major(v, wanted))
    if found is None:
        return Refusal(
            Reason.INVALID,
            f"AWS offers no upgrade from {running} to {wanted}: write an exact version, or upgrade to a version between them first.",
        )
    return found


def is_major(running: str, target: str) -> bool:
    """Whether going there is a major upgrade."""
    return not engine_version.same_major(running, target)


def _highest(versions: Iterable[str]) -> str | None:
    return max((v for v in versions if _readable(v)), key=engine_version.parse, default=None)


def _readable(version: str) -> bool:
    try:
        engine_version.parse(version)
    except ValueError:
        return False
    return True
