"""Tables, figures and pages made from evaluation records."""
