"""MyFoodBudget: what food cost this month, against what it was meant to cost."""

__version__ = "0.1.0"
