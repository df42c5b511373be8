"""What all other folders stand on: checks of input, files written whole, processes, memory."""
