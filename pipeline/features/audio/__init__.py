"""Audio features: from the sound of a video to a vector per segment, through the VGGish front end and network."""
