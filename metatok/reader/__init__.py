"""The reader: a small language model that answers from raw and from compressed prompts, and its training.

Needs the extra `train` (torch, transformers); `import metatok` alone loads none of it.
"""
