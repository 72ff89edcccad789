"""Penstock: a Kubernetes operator that manages AWS databases and answers for their outcomes."""

import os
from pathlib import Path

__version__ = "0.1.0"

try:
    Path.home()
except RuntimeError:
    # A user without a passwd entry, as in the image, and no HOME. The Kubernetes client asks for a home when it is imported.
    os.environ["HOME"] = "/"
