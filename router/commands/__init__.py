"""The subcommands that need no training code."""
