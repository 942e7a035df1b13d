"""Object stores as places of data, models and results; nothing here is used without a URL."""
