"""Modules that every other package may use: errors, files, processes, devices, precision, validated sections."""
