"""One performer per protocol: they carry a request and bring the response, or raise `NoAnswer`."""
