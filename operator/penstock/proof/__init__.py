"""Proof that databases keep their promises: what drills measured, and what is made of it."""
