import { userInfo } from 'node:os';
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from '@bufbuild/protobuf';
import { Client, type ServiceError, status } from '@grpc/grpc-js';
import { DEFAULT_TCP_ADDRESS, grpcTarget, parseAddress } from '../rpc/address.ts';
import { callUnary, isServiceError } from '../rpc/calls.ts';
import { accessFrom, channelCredentials, withToken } from '../rpc/channel_access.ts';
import { configOf } from './settings.ts';
import { CommandError, EXIT, type Given, optionOf, type Shell } from './shell.ts';
import { printable } from './text.ts';

export const ADDRESS_OPTION = { address: { type: 'string', short: 'a' } } as const;
export const ADDRESS_HELP =
  '  -a, --address   of the agent, host:port or unix:/path; else PERFOPT_CONTROL_ADDRESS, else what the configuration says';

/** An agent answers within this time, or is taken for unreachable. */
const CALL_DEADLINE_MS = 12_000;

/** Talks to the running agent; grpc's errors become the user's. */
export async function withAgent<T>(given: Given, shell: Shell, talk: (client: Client) => Promise<T>): Promise<T> {
  const address = addressOf(given, shell);
  const client = clientOf(grpcTarget(parsed(address)), shell);
  try {
    return await talk(client);
  } catch (error) {
    throw isServiceError(error) ? agentError(error, address) : error;
  } finally {
    client.close();
  }
}

/** One question to the agent that `client` talks to. */
export function callAgent<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  return callUnary(client, method, create(method.input, request), CALL_DEADLINE_MS);
}

/** One question to the running agent. */
export function askAgent<I extends DescMessage, O extends DescMessage>(
  given: Given,
  shell: Shell,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  return withAgent(given, shell, (client) => callAgent(client, method, request));
}

/** For `--json`: everything, as the protocol says it. */
export function jsonOf<M extends DescMessage>(schema: M, message: MessageShape<M>): string {
  return JSON.stringify(toJson(schema, message), null, 2);
}

/** With what PERFOPT_CONTROL_TOKEN (or _TOKEN_FILE), PERFOPT_CONTROL_CA, _CERT and _KEY say. */
function clientOf(target: string, { environment }: Shell): Client {
  try {
    const access = accessFrom(environment);
    return new Client(target, channelCredentials(access), withToken(access));
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error), EXIT.usage);
  }
}

/** Who asks, for the record of the agent. */
export function operatorName(): string {
  return userInfo().username.slice(0, 128);
}

function addressOf(given: Given, shell: Shell): string {
  const told = optionOf(given, 'address') ?? (shell.environment.PERFOPT_CONTROL_ADDRESS || undefined);
  if (told !== undefined) return told;
  const { socket, address } = configOf(given, shell).config.control;
  return socket === null ? (address ?? DEFAULT_TCP_ADDRESS) : `unix:${socket}`;
}

function parsed(address: string) {
  try {
    return parseAddress(address);
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error), EXIT.usage);
  }
}

function agentError({ code, details }: ServiceError, address: string): CommandError {
  switch (code) {
    case status.UNAVAILABLE:
      return new CommandError(
        `no agent answers at ${address}: start one with \`perfopt run\`, or say where with --address`,
      );
    case status.DEADLINE_EXCEEDED:
      return new CommandError(`the agent at ${address} did not answer in time; it may be overloaded: try again`);
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return new CommandError(
        `${printable(details)}; give PERFOPT_CONTROL_TOKEN or PERFOPT_CONTROL_TOKEN_FILE, or use the Unix socket`,
      );
    case status.UNIMPLEMENTED:
      return new CommandError(`what listens at ${address} is no agent of this version: ${printable(details)}`);
    default:
      return new CommandError(printable(details));
  }
}
