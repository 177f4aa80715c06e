"""What is in an answer's text: what was thought before it, and calls of tools. Pure."""
