"""Static figures for pages and papers, and the tables that they are drawn from."""
