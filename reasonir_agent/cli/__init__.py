"""The command line: one module a command. The only place that reads the environment and settings files, or prints."""
