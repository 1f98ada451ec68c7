"""What the scripts share: the command line, one job's files, device and state."""
