"""What a run is: its configuration checked, its grid, its jobs, its file names. Without torch."""
