"""What the server knows: clients, subscribers, and the publications that it keeps."""
