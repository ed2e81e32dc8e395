"""The application: accounts with points, and what they are exchanged for."""
