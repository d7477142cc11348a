/**
 * A scripted agent: the server's end of `Connect`, which says exactly what a rule says, malformed messages included, and
 * keeps what it hears. A healthy agent never does most of this.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js';
import {
  type ConnectRequest,
  ConnectRequestSchema,
  ConnectResponseSchema,
  ControlService,
} from '../../agent/gen/performance_optimizer/control/v1/control_service_pb.ts';
import { encodeDurationMs } from '../../agent/rpc/knob_codec.ts';
import { stateWords } from '../../agent/rpc/words.ts';

export type Heard = ConnectRequest['message'];
type Said = MessageInitShape<typeof ConnectResponseSchema>['message'];

const EXPECT_WITHIN_MS = 15_000;

export class ScriptedPeer {
  epoch = 5;
  /** What becomes of a Hello. */
  onHello: 'welcome' | 'say_nothing' | 'refuse' = 'welcome';
  readonly heartbeatIntervalMs = 150;
  /** Every instance and incarnation that has said Hello. */
  readonly instances = new Set<string>();
  readonly #heard: Heard[] = [];
  #stream: ServerDuplexStream<ConnectRequest, Buffer> | undefined;
  #server: Server | undefined;
  #received = 0;
  #gap: string | undefined;
  readonly #waiting = new Set<() => void>();
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async start(): Promise<void> {
    const server = new Server();
    const { typeName, method } = ControlService;
    const definition = {
      path: `/${typeName}/${method.connect.name}`,
      requestStream: true,
      responseStream: true,
      requestSerialize: (message: ConnectRequest) => Buffer.from(toBinary(ConnectRequestSchema, message)),
      requestDeserialize: (bytes: Buffer) => fromBinary(ConnectRequestSchema, bytes),
      responseSerialize: (bytes: Buffer) => bytes,
      responseDeserialize: (bytes: Buffer) => bytes,
    };
    server.addService(
      { connect: definition },
      { connect: (call: ServerDuplexStream<ConnectRequest, Buffer>) => this.#accept(call) },
    );
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${this.#path}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    this.#server = server;
  }

  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#stream = undefined;
  }

  endStream(): void {
    this.#stream?.emit('error', { code: status.UNAVAILABLE, details: 'the script ends the stream' });
    this.#stream = undefined;
  }

  say(message: Said): void {
    this.sayBytes(toBinary(ConnectResponseSchema, create(ConnectResponseSchema, { message: message! })));
  }

  sayBytes(bytes: Uint8Array): void {
    if (!this.#stream) throw new Error('the client has no stream open');
    this.#stream.write(Buffer.from(bytes));
  }

  welcome(): void {
    const value = { epoch: BigInt(this.epoch), heartbeatInterval: encodeDurationMs(this.heartbeatIntervalMs) };
    this.say({ case: 'welcome', value });
  }

  /** The first that was heard and that `wants` accepts, of what nobody has taken yet; waits for it for a while. */
  async take<T>(what: string, wants: (heard: Heard) => T | undefined): Promise<T> {
    const deadlineMs = performance.now() + EXPECT_WITHIN_MS;
    for (;;) {
      if (this.#gap) throw new Error(this.#gap);
      for (const [i, heard] of this.#heard.entries()) {
        const found = wants(heard);
        if (found === undefined) continue;
        this.#heard.splice(i, 1);
        return found;
      }
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) {
        const heard = [...new Set(this.#heard.map(brief))].join(', ');
        throw new Error(`${what} was not heard within ${EXPECT_WITHIN_MS / 1_000} s; what was: ${heard || 'nothing'}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, leftMs);
        const waiting = this.#waiting;
        function wake(): void {
          clearTimeout(timer);
          waiting.delete(wake);
          resolve();
        }
        waiting.add(wake);
      });
    }
  }

  /** What was heard and nobody has taken yet. */
  get unclaimed(): readonly Heard[] {
    return this.#heard;
  }

  #accept(call: ServerDuplexStream<ConnectRequest, Buffer>): void {
    this.#stream = call;
    this.#received = 0;
    call.on('data', ({ message }: ConnectRequest) => {
      if (this.#received++ === 0 && message.case !== 'hello') this.#gap = 'the first message was no Hello';
      if (message.case === 'heartbeat' && Number(message.value.seq) !== this.#received)
        this.#gap = `a heartbeat said ${message.value.seq} where ${this.#received} messages have come`;
      this.#heard.push(message);
      if (message.case === 'hello') {
        this.instances.add(`${message.value.instanceUid} ${message.value.incarnation}`);
        this.#answerHello(call);
      }
      for (const wake of [...this.#waiting]) wake();
    });
    call.on('end', () => call.end());
    call.on('error', () => {});
  }

  #answerHello(call: ServerDuplexStream<ConnectRequest, Buffer>): void {
    if (this.onHello === 'welcome') this.welcome();
    else if (this.onHello === 'refuse')
      call.emit('error', { code: status.INVALID_ARGUMENT, details: 'the script refuses this Hello' });
  }
}

function brief(heard: Heard): string {
  if (heard.case !== 'result') return heard.case ?? 'something of no kind';
  const states = heard.value.knobResults.map(({ knob, state }) => `${knob}: ${stateWords.decode(state)}`);
  return `result of ${heard.value.commandId} (${states.join(', ')})`;
}
