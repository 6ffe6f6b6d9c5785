"""The independent batch oracle, and the replay that compares the whole system with it."""
