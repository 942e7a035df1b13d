"""The platforms that run batch jobs: one module and one record for each."""
