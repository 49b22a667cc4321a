"""What travels from Python to browsers, and when it leaves."""
