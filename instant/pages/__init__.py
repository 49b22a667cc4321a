"""What a page begins with: the state of its channels, and from where its messages go on."""
