"""The only door to MLflow. Nothing outside this package imports mlflow.

Importing this package costs nothing; `publish` (record.py of this package) imports MLflow late,
after the environment is set (environment.py), because the import alone takes 1.5 s.
"""
