"""Vector renderer of drawn portraits with exact 68-point landmarks."""
