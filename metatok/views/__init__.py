"""What people look at: the token view (`tokens.py`) and the charts (`charts.py`)."""
