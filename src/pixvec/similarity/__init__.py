"""What vectors are for: links, search, duplicates and exports."""
