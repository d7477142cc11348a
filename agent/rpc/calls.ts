import type {
  DescMessage,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageShape,
} from '@bufbuild/protobuf';
import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { methodDefinition } from './service_definition.ts';

/** Whether gRPC says it, with a code. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && typeof error.code === 'number';
}

/** Calls a unary method. Rejects with grpc-js's `ServiceError` (it carries `code` and `details`). */
export function callUnary<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
  deadlineMs: number,
): Promise<MessageShape<O>> {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  const options = { deadline: Date.now() + deadlineMs };
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      new Metadata(),
      options,
      (error, response) => {
        if (error) reject(error);
        else if (response === undefined) reject(new Error(`${path}: ended without a response`));
        else resolve(response);
      },
    );
  });
}

/** Opens a stream of answers to one request. */
export function callServerStream<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodServerStreaming<I, O>,
  request: MessageShape<I>,
): ClientReadableStream<MessageShape<O>> {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  return client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
}

/** Opens a stream in both directions. */
export function callBidi<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodBiDiStreaming<I, O>,
  metadata = new Metadata(),
): ClientDuplexStream<MessageShape<I>, MessageShape<O>> {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
}
