"""HTTP in: authentication, routes, errors. Loads neither the Docker SDK nor the sandbox."""
