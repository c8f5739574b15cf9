"""What runs produce, as plain data: the fields are the JSON contracts."""
