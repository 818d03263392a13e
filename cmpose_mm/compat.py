"""What makes MMPose 1.3 work on current torch, each line with its reason."""
