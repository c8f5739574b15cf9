"""Budgets: limits on the totals of networks, where a project writes them down, and whether they hold."""
