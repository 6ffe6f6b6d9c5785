"""The status of the flow, the audit and the stores; health, readiness and metrics of the API."""
