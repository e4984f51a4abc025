"""Errors that end a program with one sentence instead of a traceback."""


class UserError(ValueError):
    """What the user can mend: says what was received and what to do."""
