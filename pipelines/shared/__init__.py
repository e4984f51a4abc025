"""What the programs share. Nothing in here is a program."""
