"""The custom resources of Penstock as pydantic models: the only source of the CRDs and of their reference docs.

One file a kind; `kinds.KINDS` lists them. `parsing.parse` turns a manifest into a model or into sentences.
"""
