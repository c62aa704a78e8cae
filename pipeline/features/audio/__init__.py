"""The sound of a video, through the VGGish front end and network, to a vector per segment."""
