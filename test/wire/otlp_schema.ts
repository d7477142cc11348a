import protobuf from 'protobufjs';

/**
 * The part of OTLP that the tests need, as an independent codec: a general one, read from the published field numbers,
 * as the oracle for our specialised decoder and as the encoder of test requests.
 */
const SCHEMA = `
syntax = "proto3";
message ExportMetricsServiceRequest { repeated ResourceMetrics resource_metrics = 1; }
message ExportMetricsServiceResponse { PartialSuccess partial_success = 1; }
message PartialSuccess { int64 rejected_data_points = 1; string error_message = 2; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; string schema_url = 3; }
message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
message ScopeMetrics { InstrumentationScope scope = 1; repeated Metric metrics = 2; string schema_url = 3; }
message InstrumentationScope { string name = 1; string version = 2; repeated KeyValue attributes = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
    ArrayValue array_value = 5; KeyValueList kvlist_value = 6; bytes bytes_value = 7;
  }
}
message ArrayValue { repeated AnyValue values = 1; }
message KeyValueList { repeated KeyValue values = 1; }
message Metric {
  string name = 1; string description = 2; string unit = 3;
  oneof data {
    Gauge gauge = 5; Sum sum = 7; Histogram histogram = 9; ExponentialHistogram exponential_histogram = 10;
    Summary summary = 11;
  }
}
message Gauge { repeated NumberDataPoint data_points = 1; }
message Sum { repeated NumberDataPoint data_points = 1; int32 aggregation_temporality = 2; bool is_monotonic = 3; }
message Histogram { repeated HistogramDataPoint data_points = 1; int32 aggregation_temporality = 2; }
message ExponentialHistogram { repeated ExponentialHistogramDataPoint data_points = 1; int32 aggregation_temporality = 2; }
message Summary { repeated SummaryDataPoint data_points = 1; }
message NumberDataPoint {
  fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
  oneof value { double as_double = 4; sfixed64 as_int = 6; }
  repeated KeyValue attributes = 7; uint32 flags = 8;
}
message HistogramDataPoint {
  fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4; optional double sum = 5;
  repeated fixed64 bucket_counts = 6; repeated double explicit_bounds = 7;
  repeated KeyValue attributes = 9; uint32 flags = 10; optional double min = 11; optional double max = 12;
}
message ExponentialHistogramDataPoint {
  repeated KeyValue attributes = 1; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4;
  optional double sum = 5; sint32 scale = 6; fixed64 zero_count = 7; Buckets positive = 8; Buckets negative = 9;
  uint32 flags = 10; optional double min = 12; optional double max = 13; double zero_threshold = 14;
}
message Buckets { sint32 offset = 1; repeated uint64 bucket_counts = 2; }
message SummaryDataPoint {
  fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4; double sum = 5;
  repeated ValueAtQuantile quantile_values = 6; repeated KeyValue attributes = 7; uint32 flags = 8;
}
message ValueAtQuantile { double quantile = 1; double value = 2; }
message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
message Any { string type_url = 1; bytes value = 2; }
`;

const root = protobuf.parse(SCHEMA).root;
const request = root.lookupType('ExportMetricsServiceRequest');
const rpcStatus = root.lookupType('Status');
const response = root.lookupType('ExportMetricsServiceResponse');

/** Plain objects in lowerCamelCase. 64-bit fields take numbers, decimal strings or Longs. */
export function encodeRequest(message: object): Uint8Array {
  return request.encode(request.fromObject(message)).finish();
}

/** The request as plain objects: 64-bit fields as decimal strings, bytes as base64, only fields that were sent. */
export function decodeRequest(bytes: Uint8Array): WireRequest {
  const message = request.decode(bytes);
  // The codec's own type says `object`; these are the field types that the schema above gives.
  return request.toObject(message, { longs: String, bytes: String }) as WireRequest;
}

/** Decoding alone, for the benchmark's baseline. */
export function decodeOnly(bytes: Uint8Array): object {
  return request.decode(bytes);
}

export function decodeResponse(bytes: Uint8Array): { rejectedDataPoints: number; errorMessage: string } | undefined {
  const message = response.toObject(response.decode(bytes), { longs: Number, defaults: false });
  const partial: unknown = message.partialSuccess;
  if (typeof partial !== 'object' || partial === null) return undefined;
  return { rejectedDataPoints: 0, errorMessage: '', ...partial };
}

/** A `google.rpc.Status`. Throws on what is none. */
export function decodeStatus(bytes: Uint8Array): { readonly code: number; readonly message: string } {
  const { code = 0, message = '' } = rpcStatus.toObject(rpcStatus.decode(bytes));
  return { code: Number(code), message: String(message) };
}

export interface WireRequest {
  resourceMetrics?: {
    resource?: { attributes?: WireKeyValue[] };
    scopeMetrics?: {
      scope?: { name?: string; version?: string; attributes?: WireKeyValue[] };
      metrics?: WireMetric[];
    }[];
  }[];
}
export interface WireKeyValue {
  key?: string;
  value?: WireAnyValue;
}
export interface WireAnyValue {
  stringValue?: string;
  boolValue?: boolean;
  intValue?: string;
  doubleValue?: number;
  arrayValue?: { values?: WireAnyValue[] };
  kvlistValue?: { values?: WireKeyValue[] };
  bytesValue?: string;
}
export interface WireMetric {
  name?: string;
  unit?: string;
  gauge?: WireData;
  sum?: WireData & { isMonotonic?: boolean };
  histogram?: WireData;
  exponentialHistogram?: WireData;
  summary?: WireData;
}
export interface WireData {
  dataPoints?: WirePoint[];
  aggregationTemporality?: number;
}
export interface WirePoint {
  startTimeUnixNano?: string;
  timeUnixNano?: string;
  asDouble?: number;
  asInt?: string;
  attributes?: WireKeyValue[];
  flags?: number;
  count?: string;
  sum?: number;
  bucketCounts?: string[];
  explicitBounds?: number[];
  min?: number;
  max?: number;
  scale?: number;
  zeroCount?: string;
  zeroThreshold?: number;
  positive?: WireBuckets;
  negative?: WireBuckets;
}
export interface WireBuckets {
  offset?: number;
  bucketCounts?: string[];
}
