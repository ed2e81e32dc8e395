"""Alarms that reach people: which routes they take, how each receiver wants them, and where nobody is sent to."""
