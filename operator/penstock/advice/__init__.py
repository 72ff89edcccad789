"""The cheaper shape: the cheapest one that still keeps the objectives, what it saves, what it risks, and the patch that makes it so."""
