"""From the table of a sweep to an answer: arms within settings, statistics, a console table and one page."""
