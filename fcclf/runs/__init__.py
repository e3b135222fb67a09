"""What is kept on disk: run directories, and what is read from them again."""
