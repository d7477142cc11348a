import type { ChannelCredentials } from '@grpc/grpc-js';

/**
 * The same credentials, whose sockets never keep the process alive. grpc-js holds the process for as long as a stream
 * is open, and the control session is open always: without this, a script that has done its work would hang on it.
 * The hook is not part of grpc-js's documented API; where it is missing one has to call `close()` to end.
 */
export function unref(plain: ChannelCredentials): ChannelCredentials {
  if (typeof plain._createSecureConnector !== 'function') return plain;
  const createConnector = plain._createSecureConnector.bind(plain);
  plain._createSecureConnector = (target, options, callCredentials) => {
    const connector = createConnector(target, options, callCredentials);
    return {
      async connect(socket) {
        const connected = await connector.connect(socket);
        connected.socket.unref();
        connected.socket.ref = () => connected.socket;
        return connected;
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    };
  };
  return plain;
}
