"""Readers of raw data sets; each turns one data set's tables and maps into the forms the GT cache stores."""
