"""The shelves that food comes from, and the units it comes in."""

from __future__ import annotations

# key in the database and in the stylesheet → what people read
CATEGORIES = {
    "produce": "Fruit & vegetables",
    "bread": "Bread & grains",
    "dairy": "Dairy & eggs",
    "meat": "Meat & fish",
    "pantry": "Pantry",
    "drinks": "Drinks",
    "sweets": "Sweets & snacks",
    "out": "Eating out",
    "other": "Everything else",
}

UNITS = {"pcs": "pieces", "kg": "kg", "g": "g", "l": "l", "ml": "ml"}

# the key of a budget for everything together, beside those of CATEGORIES
TOTAL = "total"
