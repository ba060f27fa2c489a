"""Ground floor of the house: domain types, units, agents, protocols and errors.

Standard library and msgspec only; no input or output, no asyncio, no wall clock.
"""
