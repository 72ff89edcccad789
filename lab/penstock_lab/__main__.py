"""`python -m penstock_lab`, the same as `penstock lab`."""

from .cli import lab

lab(prog_name="penstock lab")
