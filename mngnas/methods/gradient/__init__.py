"""Methods that learn architecture parameters."""
