"""What this book adds to the paper: a module a subject."""
