"""What is known of the parts of an installation as JSON documents, for the command line and the server alike."""
