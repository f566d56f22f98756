"""The run: from a config to a runner, its loops, its folder, what resumes, and what ends it."""
