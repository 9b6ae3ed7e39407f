"""What two systems or more share."""
