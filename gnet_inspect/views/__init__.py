"""A result -> text: tables, diagrams, charts and pages, and what they share."""
