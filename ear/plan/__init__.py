"""What an experiment would do, fetch and cost, told before any of it is done: counts of work × rates."""
