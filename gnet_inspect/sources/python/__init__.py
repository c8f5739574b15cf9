"""Networks that Python code makes. What is here reads source as text: nothing of it is imported or run."""
