"""What a run will be: settings, place, device and memory, before anything is loaded."""
