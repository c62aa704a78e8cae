"""Features and labels joined, fed to a network, trained, selected on validation and written as a checkpoint."""
