"""What a run will meet or has met, and pages that show images."""
