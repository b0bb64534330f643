"""What answers calls: providers' servers and models in this process, their breakers, and their streams on the way."""
