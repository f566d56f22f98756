"""What a run did: its numbers and its curves."""
