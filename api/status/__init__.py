"""What the flow says of itself, and whether that is good enough."""
