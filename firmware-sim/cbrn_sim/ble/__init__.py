"""Simulated Bluetooth: a BlueZ of its own on a private D-Bus, with wearables in the air."""
