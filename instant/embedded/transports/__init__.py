"""How clients reach the server: WebSockets and streamed HTTP responses."""
