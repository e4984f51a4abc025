"""The programs share this machinery. Nothing in here is a program."""
