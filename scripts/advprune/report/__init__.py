"""Tables, figures and pages made from evaluation records; the generated documents."""
