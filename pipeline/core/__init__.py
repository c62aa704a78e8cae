"""What every room may use: errors, files, processes, devices, precision, validated sections."""
