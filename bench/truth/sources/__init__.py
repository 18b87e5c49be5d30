"""One module a source of ground truth; the only importers of nats_bench and nas_201_api."""
