"""AWS: paced calls, errors by meaning, and answers turned into small typed records; one file a service."""
