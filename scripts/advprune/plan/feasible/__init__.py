"""Whether a run can end well: rates, files from elsewhere, disk. Before any job, without torch."""
