"""Tasks: questions about prompts whose true answer is known. One file a task, all through `metatok.tasks.base`."""
