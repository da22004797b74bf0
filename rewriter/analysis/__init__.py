"""What a file holds, module by module, and what it costs."""
