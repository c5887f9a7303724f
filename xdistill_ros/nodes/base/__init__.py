"""What every node and every command that meets the graph is made of: lifecycle, messages, quality of service, calls."""
