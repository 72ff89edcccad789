"""`python -m penstock_lab.demo`."""

from .command import demo

if __name__ == "__main__":
    demo(prog_name="python -m penstock_lab.demo")
