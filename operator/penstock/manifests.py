"""Manifests from files, as the commands read them: objects, or sentences that say what is wrong with the file. Nothing raises."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from penstock.api.model import Problem
from penstock.engine.kind import Object


def manifests(files: Sequence[str], kinds: Sequence[str]) -> Iterator[tuple[str, Object | Problem]]:
    """Every object of these kinds with the file that it is from; what cannot be read as a problem. files: names, - for standard input."""
    for name in files:
        try:
            documents = list(yaml.safe_load_all(_text(name)))
        except OSError as error:
            yield name, Problem("", f"cannot be read ({error.strerror}): name a file, or - for standard input")
            continue
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            yield name, Problem("", f"is no YAML: {' '.join(str(error).split())}")
            continue
        found = False
        for document in documents:
            if document is None:
                continue
            items = document.get("items", [document]) if isinstance(document, dict) else [document]
            if not isinstance(items, list):
                yield name, Problem("items", "is no Kubernetes object: write a list of objects, each with a dash")
                found = True
                continue
            for item in items:
                if (
                    not isinstance(item, dict)
                    or not isinstance(item.get("metadata"), dict)
                    or "name" not in item["metadata"]
                ):
                    yield name, Problem("", "is no Kubernetes object: it needs apiVersion, kind and metadata.name")
                    found = True
                elif item.get("kind") in kinds:
                    found = True
                    yield name, item
        if not found:
            yield name, Problem("", f"holds no {' or '.join(kinds)}")


def _text(name: str) -> str:
    """A manifest's text; raises OSError and UnicodeDecodeError."""
    if name == "-":
        return sys.stdin.read()
    return Path(name).read_text(encoding="utf-8")
