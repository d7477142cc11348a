import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
const provider = new MeterProvider({ resource: resourceFromAttributes({ 'service.name': 'walk', 'process.pid': process.pid }), readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter({ url: 'http://127.0.0.1:24317' }), exportIntervalMillis: 1000, exportTimeoutMillis: 900 })] });
const h = provider.getMeter('walk').createHistogram('http.server.request.duration', { unit: 's', advice: { explicitBucketBoundaries: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5] } });
const start = Date.now();
setInterval(() => { const s = (Date.now() - start) / 1000; const slow = s > 420 && s < 480 ? 12 : 1; for (let i = 0; i < 10; i++) h.record(0.03 * slow * Math.exp(0.2 * (Math.random() - 0.5)), { 'http.response.status_code': 200, 'http.request.method': 'GET' }); }, 50);
