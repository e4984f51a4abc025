"""Programs in this process."""


def run_with(main, defaults, **flags):
    """Runs a program as a command line with these flags does.

    Args:
        main: Function of the settings and of the names of those that were given.
        defaults: The `Options` with the default values.
        **flags: Values of settings.
    """
    main(defaults.replace(**flags), frozenset(flags))
