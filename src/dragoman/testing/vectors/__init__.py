"""Runs a vectors file through an adapter: `run_vectors("slack", Path("slack.json"))`.

A vectors file holds payloads and what an adapter must make of them: `{"platform", "format": "1", "notes",
"cases": [{name, source, config?, now?, request, expect}]}`. It is plain JSON, so that adapters in any
language may be judged by the same one. To certify an adapter of your own, register it under the entry
point group `dragoman.adapters`, write such a file from the platform's documentation (sign it with the
vendor's library), and run `dragoman conformance PLATFORM --vectors FILE`.

The adapter is built anew for every case from the case's `config`: names are the adapter's settings, or
stand in its class variable `vector_settings` (name in the file to name of the setting). Names that are
neither are facts which the adapter would have fetched; it finds them in `Known.keys`. A transport that the
adapter does not have is skipped.
"""

from dragoman.testing.vectors.run import CaseResult, Status, as_json, run_vectors, summary

__all__ = ["CaseResult", "Status", "as_json", "run_vectors", "summary"]
