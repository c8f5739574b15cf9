"""A result -> text: tables, CSV, Markdown and JSON."""
