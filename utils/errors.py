"""The two exceptions that speak to the user: `run_colorization.py` prints them on one line, without a traceback."""


class InputError(ValueError):
    """The user's file, flag or data is wrong. The message names the file, the value and the remedy. Exit status 2."""


class DivergedError(ArithmeticError):
    """A gradient was not finite. Every rank raises it before the update. Exit status 3."""
