"""From public sources to a checked data folder: what scripts/prepare_*.py and scripts/check_data.py are made of."""
