"""What people look at: the token view (`tokens.py`), the charts (`charts.py`), and both for notebooks (`strips.py`,
`notebook.py`)."""
