"""report.html: one run, or several side by side, as a page that needs nothing but itself."""
