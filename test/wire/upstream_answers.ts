import protobuf from 'protobufjs';

/** What upstreams answer, written by a general codec from the published schema. */
const { root } = protobuf.parse(`
syntax = "proto3";
message Response { PartialSuccess partial_success = 1; }
message PartialSuccess { int64 rejected = 1; string error_message = 2; }
message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
message Any { string type_url = 1; bytes value = 2; }
message RetryInfo { Duration retry_delay = 1; }
message Duration { int64 seconds = 1; int32 nanos = 2; }
`);

function encoded(type: string, message: object): Buffer {
  const of = root.lookupType(type);
  return Buffer.from(of.encode(of.fromObject(message)).finish());
}

export function partialSuccess(rejected: number, errorMessage: string): Buffer {
  return encoded('Response', { partialSuccess: { rejected, errorMessage } });
}

/** `google.rpc.Status` with RetryInfo behind a detail of another kind. */
export function retryDetails(code: number, message: string, delayMs: number): Buffer {
  const retryDelay = { seconds: Math.floor(delayMs / 1_000), nanos: (delayMs % 1_000) * 1e6 };
  const details = [
    { typeUrl: 'type.googleapis.com/google.rpc.DebugInfo', value: Buffer.of(8, 1) },
    { typeUrl: 'type.googleapis.com/google.rpc.RetryInfo', value: encoded('RetryInfo', { retryDelay }) },
  ];
  return encoded('Status', { code, message, details });
}
