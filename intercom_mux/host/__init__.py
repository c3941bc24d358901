"""What the operating system gives, where Windows and POSIX differ: one module per concern, the choice made in it."""
