import { type DescMessage, type DescMethod, type DescService, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  ServiceDefinition,
} from '@grpc/grpc-js';
import { bytesOf } from './prepared.ts';

/** What one method of a generated service is for a grpc-js server. */
type Handler<M> = M extends { methodKind: infer Kind; input: infer I; output: infer O }
  ? I extends DescMessage
    ? O extends DescMessage
      ? Kind extends 'unary'
        ? handleUnaryCall<MessageShape<I>, MessageShape<O>>
        : Kind extends 'server_streaming'
          ? handleServerStreamingCall<MessageShape<I>, MessageShape<O>>
          : Kind extends 'client_streaming'
            ? handleClientStreamingCall<MessageShape<I>, MessageShape<O>>
            : handleBidiStreamingCall<MessageShape<I>, MessageShape<O>>
      : never
    : never
  : never;

/** The implementation that a generated service asks for: one handler a method. */
export type Handlers<S extends DescService> =
  S extends GenService<infer Methods> ? { [K in keyof Methods]: Handler<Methods[K]> } : never;

/** How grpc-js reads and writes the messages of a protobuf-es method. */
export function methodDefinition<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { readonly input: I; readonly output: O },
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    originalName: method.localName,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    requestSerialize: (message) => bytesOf(method.input, message),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: (message) => bytesOf(method.output, message),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  };
}

/** A generated service as grpc-js's `Server.addService` wants it. */
export function serviceDefinition<M extends GenServiceMethods>(service: GenService<M>): ServiceDefinition {
  return describedService(service);
}

/** The same of a service that is only known when the program runs. */
export function describedService(service: DescService): ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.localName, methodDefinition(method)]));
}
