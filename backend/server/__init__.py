"""The ZeroMQ server: sessions, uploads, jobs and their worker processes."""
