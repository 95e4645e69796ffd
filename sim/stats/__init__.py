"""Numbers from records: arrays and tables in, numbers out; knows no engine."""
