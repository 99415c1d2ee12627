"""The offline subcommands."""
