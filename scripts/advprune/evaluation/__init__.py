"""One model's numbers: audit, evaluation, reliability, costs, corruptions."""
