"""What a report says, as plain data read from run folders and studies."""
