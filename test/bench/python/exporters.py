"""A process instrumented with the official Python SDK: three rounds of every instrument, then it ends.

Arguments: transport (grpc, http), temporality (cumulative, delta), compression (none, gzip), endpoint.
"""

import sys
import time

from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

transport, temporality, compression, endpoint = sys.argv[1:]

if transport == "grpc":
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

    how = {"insecure": True, "compression": Compression.Gzip if compression == "gzip" else Compression.NoCompression}
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    how = {"compression": Compression.Gzip if compression == "gzip" else Compression.NoCompression}

delta = AggregationTemporality.DELTA
preferred = {Counter: delta, ObservableCounter: delta, Histogram: delta} if temporality == "delta" else {}
exporter = OTLPMetricExporter(endpoint=endpoint, preferred_temporality=preferred, **how)
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
provider = MeterProvider(
    metric_readers=[reader],
    resource=Resource.create({"service.name": "python-app"}),
    views=[View(instrument_name="spread", aggregation=ExponentialBucketHistogramAggregation())],
)
meter = provider.get_meter("lib", "1.2")
requests = meter.create_counter("requests", unit="{request}")
active = meter.create_up_down_counter("active")
load = meter.create_gauge("load")
duration = meter.create_histogram("duration", unit="s", explicit_bucket_boundaries_advisory=[0.1, 0.5, 1])
spread = meter.create_histogram("spread", unit="s")

for number in (1, 2, 3):
    requests.add(10 * number, {"route": "/a", "many": [1, 2], "yes": True})
    requests.add(1, {"route": "/b"})
    active.add(-2 if number == 2 else 3)
    load.set(number / 10)
    for seconds in (0.05, 0.3, 2):
        duration.record(seconds)
    for seconds in (0.001 * number, 0.3, 100**number):
        spread.record(seconds)
    time.sleep(0.002)
    if not provider.force_flush():
        sys.exit(1)
provider.shutdown()
