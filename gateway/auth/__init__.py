"""API keys: what they are, where they are kept, and which of them are good at this moment."""
