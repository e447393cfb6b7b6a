"""Algorithms made of others: views of a problem, restarts, constraints, chains."""
