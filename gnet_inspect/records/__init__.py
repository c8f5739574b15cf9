"""What runs produce, as plain data: the fields are the JSON contracts."""

# Of all JSON that is printed or saved; keys are only ever added under it.
SCHEMA_VERSION = 2
