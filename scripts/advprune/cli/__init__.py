"""The command for people, `advprune`: one file per subcommand."""
