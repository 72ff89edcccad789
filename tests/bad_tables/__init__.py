"""The table of wrong manifests, as both its readers use it: the API server's tests and the models'."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A manifest, the manifest it was before (for edits), and the sentences that it gets; none: it must pass."""

    name: str
    manifest: Manifest
    good: Manifest
    says: tuple[str, ...] = ()
    admission: tuple[str, ...] = ()


def cases(table: str, section: str = "cases", folder: Path = Path(__file__).parent) -> list[Case]:
    """The cases of `create` or `update`, of this kind or of another whose tables are in `folder`."""
    document = yaml.safe_load((folder / f"{table}.yaml").read_text(encoding="utf-8"))
    return [
        Case(
            name=entry["name"],
            manifest=_edited(document["good"], entry["set"]),
            good=document["good"],
            says=tuple(entry.get("says", ())),
            admission=tuple(entry.get("admission", ())),
        )
        for entry in document[section]
    ]


def _edited(good: Manifest, changes: dict[str, Any]) -> Manifest:
    manifest = copy.deepcopy(good)
    for path, value in changes.items():
        *parents, last = (int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path))
        place: Any = manifest
        for parent in parents:
            place = place[parent]
        if isinstance(place, list) and last == len(place):
            place.append(value)
        elif value is None:
            del place[last]
        else:
            place[last] = _expanded(value)
    return manifest


def _expanded(value: Any) -> Any:
    """What would be tedious to write out: `{tags*51}` is 51 tags."""
    if isinstance(value, dict):
        return {key: _expanded(inner) for key, inner in value.items()}
    found = re.fullmatch(r"\{(\w+)\*(\d+)\}", value) if isinstance(value, str) else None
    if found is None:
        return value
    what, count = found[1], int(found[2])
    match what:
        case "indexes":
            return [_index(number) for number in range(count)]
        case "locals":
            return [
                {"name": f"local-{n}", "sort": {"name": f"l{n}", "type": "Number"}, "projection": {"type": "All"}}
                for n in range(count)
            ]
        case "including":
            names = [f"a{number}" for number in range(count)]
            return [_index(n, names[n : n + 20]) for n in range(0, count, 20)]
        case "names":
            return [f"a{number}" for number in range(count)]
        case "tags":
            return {f"tag-{number}": "x" for number in range(count)}
        case "longtag":
            return {"k" * count: "x"}
        case _:
            return what * count


def _index(number: int, attributes: list[str] | None = None) -> Manifest:
    projection = {"type": "Include", "attributes": attributes} if attributes else {"type": "KeysOnly"}
    return {
        "name": f"index-{number}",
        "partition": {"name": f"p{number}", "type": "String"},
        "projection": projection,
    }
