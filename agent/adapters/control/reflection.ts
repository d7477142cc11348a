/** Server reflection from the descriptors that the generated code carries: what grpcurl and its like need to call us. */
import { create, createRegistry, type DescFile, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import {
  type ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import type { Handlers } from '../../rpc/service_definition.ts';

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']>;

/** `files` are those whose services are served. */
export function reflectionService(files: readonly DescFile[]): Handlers<typeof ServerReflection> {
  const all = new Map<string, DescFile>();
  for (const file of files) addWithImports(file, all);
  const registry = createRegistry(...all.values());
  const services = files.flatMap((file) => file.services.map(({ typeName }) => ({ name: typeName })));

  const fileOf = (symbol: string): DescFile | undefined => {
    const found = registry.get(symbol);
    if (found) return found.file;
    // A member: the method of a service, the field of a message, the value of an enum.
    const parent = registry.get(symbol.slice(0, Math.max(0, symbol.lastIndexOf('.'))));
    return parent?.file;
  };

  const answer = ({ messageRequest: question }: ServerReflectionRequest): Answer => {
    switch (question.case) {
      case 'listServices':
        return { case: 'listServicesResponse', value: { service: services } };
      case 'fileByFilename':
        return fileAnswer(all.get(question.value.replace(/\.proto$/, '')), `file ${question.value}`);
      case 'fileContainingSymbol':
        return fileAnswer(fileOf(question.value), `symbol ${question.value}`);
      case 'allExtensionNumbersOfType':
        // We have no extensions, so every message that we know has none.
        return registry.getMessage(question.value)
          ? { case: 'allExtensionNumbersResponse', value: { baseTypeName: question.value } }
          : notFound(`message ${question.value}`);
      case 'fileContainingExtension':
        return notFound(`extension ${question.value.extensionNumber} of ${question.value.containingType}`);
      default:
        return {
          case: 'errorResponse',
          value: { errorCode: status.INVALID_ARGUMENT, errorMessage: 'no question, or one that is not known' },
        };
    }
  };

  return {
    serverReflectionInfo: (call: ServerDuplexStream<ServerReflectionRequest, ServerReflectionResponse>) => {
      call.on('data', (request: ServerReflectionRequest) => {
        const response = create(ServerReflectionResponseSchema, {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(request),
        });
        // No question is read while the answer to the last has not been taken: a slow reader queues nothing here.
        if (call.write(response)) return;
        call.pause();
        call.once('drain', () => call.resume());
      });
      call.on('end', () => call.end());
    },
  };
}

/** In the order in which they can be read: what a file imports comes before it. */
function addWithImports(file: DescFile, into: Map<string, DescFile>): void {
  if (into.has(file.name)) return;
  for (const imported of file.dependencies) addWithImports(imported, into);
  into.set(file.name, file);
}

function fileAnswer(file: DescFile | undefined, what: string): Answer {
  if (!file) return notFound(what);
  const files = new Map<string, DescFile>();
  addWithImports(file, files);
  // The file asked for goes first: some clients take the first for it.
  const fileDescriptorProto = [...files.values()]
    .reverse()
    .map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

function notFound(what: string): Answer {
  return {
    case: 'errorResponse',
    value: { errorCode: status.NOT_FOUND, errorMessage: `there is no ${what.slice(0, 200)}` },
  };
}
