"""What is done about trips that were not counted, or not as they should have been."""
