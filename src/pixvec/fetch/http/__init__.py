"""Requests and answers of HTTP: headers, bodies, encodings, conditions, opt-outs, faults."""
