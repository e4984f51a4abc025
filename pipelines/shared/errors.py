"""Errors that end a program with one sentence, and the first lines of other errors."""

import re


class UserError(ValueError):
    """An error that the user can mend; it says what was received and what to do."""


def first_line(message, default=""):
    """The first line of a message.

    Args:
        message: A string, or an exception with one.
        default: The answer where the message is empty.
    """
    lines = str(message).strip().splitlines()
    return lines[0] if lines else default


def operation_failure(error):
    """The first line of a `tf.errors.OpError`, without the graph nodes it names."""
    return re.sub(r"\{\{.*?\}\} *| *\[Op:.*", "", first_line(error.message))
