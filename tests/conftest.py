"""Beside the tests so that what they share (`bad_tables`) is importable from every folder of tests."""

from __future__ import annotations

import os

import hypothesis

# Continuous integration judges the change, by the same examples every time; new ones are searched for at people's desks.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")
