"""What a command ends with, apart from all that takes seconds to import."""

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
