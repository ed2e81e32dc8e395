"""Results that agree: each accepted request reaches one final state on both sides, once."""
