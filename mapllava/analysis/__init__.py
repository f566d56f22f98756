"""What a model costs, what a run did, what a model learned."""
