"""What keeps workers out of each other's way, and away from downstreams that are down."""
