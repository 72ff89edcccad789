"""What a chapter plays on: it says what happens, runs real commands, shows their real output, and checks what must hold.

Coloured on a terminal, plain when piped.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from ..lab import Lab
from ..state import checkout

T = TypeVar("T")
_POLL_SECONDS = 0.1


class NotHeld(Exception):
    """A step did not hold. expected: what must be true. got: what was seen instead."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.got = got


@dataclass
class Stage:
    """The console, the lab (once it is up) and what was counted.

    kubelet: whether the operator runs in a container. kept: what one chapter leaves for a later one.
    """

    console: Console
    name: str = "demo"
    keep: bool = False
    kubelet: bool = False
    checks: int = 0
    steps: int = 0
    kept: dict[str, Any] = field(default_factory=dict)
    _lab: Lab | None = None

    @property
    def lab(self) -> Lab:
        assert self._lab is not None, "the lab is brought up by the first chapters"
        return self._lab

    @lab.setter
    def lab(self, lab: Lab) -> None:
        self._lab = lab

    @property
    def has_lab(self) -> bool:
        return self._lab is not None

    @property
    def work(self) -> Path:
        """A folder for the files that chapters write: the lab's, so that it goes with it. Relative where the checkout holds it."""
        folder = self.lab.state.folder / "manifests"
        folder.mkdir(exist_ok=True)
        return folder.relative_to(checkout()) if folder.is_relative_to(checkout()) else folder

    def write(self, name: str, text: str) -> Path:
        """Write a manifest into `work`; its path as a command line takes it."""
        path = self.work / name
        (checkout() / path).write_text(text, encoding="utf-8")
        return path

    def say(self, text: str) -> None:
        """What happens next, in a sentence; numbered."""
        self.steps += 1
        self.console.print()
        self.console.print(Text.assemble((f"{self.steps:>2}  ", "dim"), (text, "bold")))

    def note(self, text: str) -> None:
        self.console.print(Text(f"    {text}", style="dim"))

    def shell(self, command: str, code: int = 0, seconds: float = 90) -> str:
        """Run a command line in the lab's environment, as a person would; prints it and all that it writes. Returns its output.

        Raises NotHeld when its exit status is not `code`.
        """
        self.console.print(Text.assemble(("    $ ", "green"), (command, "cyan")))
        with self._waiting(command):
            try:
                done = subprocess.run(
                    ["bash", "-c", f"set -o pipefail; {command}"],
                    cwd=checkout(),
                    env=os.environ | self.lab.env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired as late:
                said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
                raise NotHeld(f"`{command}` ends within {seconds:.0f} s", said or "no output") from None
        self.show(done.stdout)
        if done.returncode != code:
            raise NotHeld(f"`{command}` exits with {code}", f"it exited with {done.returncode}")
        return done.stdout

    def python(self, code: str, call: Callable[[], T]) -> T:
        """Run a call of boto3; prints the code that it stands for. Prints nothing of the answer: the chapter shows what matters."""
        self.console.print(Text.assemble(("    >>> ", "green"), (code, "cyan")))
        return call()

    def show(self, text: str) -> None:
        """Output as it came, indented. Lines are never cut or wrapped by us."""
        for line in text.rstrip().splitlines():
            self.console.print(Text(f"    {line}"))

    def holds(self, sentence: str, true: bool, got: object = "it is not so") -> None:
        """A check. Raises NotHeld."""
        if not true:
            raise NotHeld(sentence, str(got))
        self._held(sentence)

    def until(self, sentence: str, look: Callable[[], tuple[bool, T]], seconds: float) -> T:
        """A check that may take a while: look() gives (whether it holds, what is seen). Returns the last; raises NotHeld when time is up."""
        began = time.monotonic()
        with self._waiting(sentence):
            while True:
                held, seen = look()
                passed = time.monotonic() - began
                if held:
                    break
                if passed > seconds:
                    raise NotHeld(f"{sentence} within {seconds:.0f} s", f"after {passed:.0f} s: {seen}")
                time.sleep(_POLL_SECONDS)
        self._held(f"{sentence} ({passed:.1f} s)")
        return seen

    def _held(self, sentence: str) -> None:
        self.checks += 1
        self.console.print(Text.assemble(("    ✔ ", "bold green"), sentence))

    def _waiting(self, what: str) -> Any:
        shown = what if len(what) < 90 else f"{what[:87]}…"
        return self.console.status(Text(shown, style="dim")) if self.console.is_terminal else nullcontext()
