"""Chaos: many objects, random edits, drift, faults, kills and outages, and afterwards the question whether everything is as declared."""
