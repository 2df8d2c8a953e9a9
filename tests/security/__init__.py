"""TLS to both servers, and that nothing secret comes out of a process."""
