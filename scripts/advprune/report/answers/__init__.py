"""What a run's results answer: each answer a table, a figure and a section of the page."""
