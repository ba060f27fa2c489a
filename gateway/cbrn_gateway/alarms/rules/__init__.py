"""The rules: from readings and estimates of one channel to conditions. Pure, no clock."""
