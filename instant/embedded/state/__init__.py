"""What the server knows: clients, readers, and the publications it keeps."""
