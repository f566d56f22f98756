"""Config files: how they are read, which mistakes in them can be seen, and what is looked up in them."""
