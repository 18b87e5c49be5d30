"""Pictures and published files: fetching, checking, reading, and batches on the device."""
