/** A process of its own that sends points over gRPC at a pace, until it is ended; it says when it begins. */
import { LoadSource, sendSteadily } from '../tax/load.ts';

const [address = '', pointsPerSecond = '0'] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
process.send?.('sending');
await sendSteadily(address, new LoadSource(), {
  instances: 10,
  pointsPerSecond: Number(pointsPerSecond),
  requests: Number.MAX_SAFE_INTEGER,
});
