import {
  getChannelzHandlers,
  getChannelzServiceDefinition,
  type MethodDefinition,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

const METHODS = [
  'GetTopChannels',
  'GetServers',
  'GetServer',
  'GetServerSockets',
  'GetChannel',
  'GetSubchannel',
  'GetSocket',
];

/**
 * grpc-js's channelz, got ready when somebody asks for the first time: its messages come with a second protobuf library
 * and definitions that are compiled as it loads, 5 MiB that most agents never need.
 */
export function channelz(): {
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
} {
  const method = (name: string): MethodDefinition<unknown, unknown> => {
    const real = (): MethodDefinition<unknown, unknown> => methodNamed(getChannelzServiceDefinition(), name);
    return {
      path: `/grpc.channelz.v1.Channelz/${name}`,
      originalName: `${name.charAt(0).toLowerCase()}${name.slice(1)}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: (message) => real().requestSerialize(message),
      requestDeserialize: (bytes) => real().requestDeserialize(bytes),
      responseSerialize: (message) => real().responseSerialize(message),
      responseDeserialize: (bytes) => real().responseDeserialize(bytes),
    };
  };
  return {
    definition: Object.fromEntries(METHODS.map((name) => [name, method(name)])),
    handlers: { ...getChannelzHandlers() },
  };
}

function methodNamed(definition: ServiceDefinition, name: string): MethodDefinition<unknown, unknown> {
  const found = definition[name];
  if (found === undefined) throw new Error(`grpc-js's channelz has no method ${name}`);
  return found;
}
