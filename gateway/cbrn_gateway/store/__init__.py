"""What the gateway keeps: the alarm journal, the spool for InfluxDB, the series of samples."""
