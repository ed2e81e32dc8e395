"""What machines cannot decide: one alarm per object, with the evidence, settled by a person."""
