"""What a collector costs: processor time per million items, memory, and the time of a call."""
