"""What events and calls are made of: checked in Python, and told to TypeScript and AsyncAPI."""
