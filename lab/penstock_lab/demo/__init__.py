"""The demo: the whole story on a lab of its own, told as it happens, every step checked.

`penstock lab demo` or `python -m penstock_lab.demo`. A chapter is a title and a function of the stage; a new kind adds its chapters to
`command.CHAPTERS`.
"""
