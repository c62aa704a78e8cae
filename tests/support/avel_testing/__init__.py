"""What several test modules and conftests use: media files, faults in them, runs, stand-ins."""
