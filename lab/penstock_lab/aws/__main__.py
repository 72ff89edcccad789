"""``python -m penstock_lab.aws --host 127.0.0.1 --port N [--settings FILE.json]``."""

from .server import main

raise SystemExit(main())
