"""What is known of each host, and how many requests it may get."""
