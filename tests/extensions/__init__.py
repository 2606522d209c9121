"""What somebody adds to the tables from outside: each file is one addition, and `LINES` are its table lines."""
