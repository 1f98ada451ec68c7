"""Released files: fetched, and looked at before anything rests on them. Without torch."""
