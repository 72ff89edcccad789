"""Beside the tests so that what they share (`bad_tables`) is importable from every folder of tests."""
