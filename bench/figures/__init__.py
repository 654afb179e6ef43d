"""What is measured: each module has the figures of one row, or a few rows, of the table of targets."""
