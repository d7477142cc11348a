/**
 * `npm run -s bench:control [-- --json] [--commands N] [--rollbacks N]`: how long a command takes to the process and its
 * result back, and how long it takes from a metric that crosses a guardrail to the recorded value in force again.
 */
import { parseArgs } from 'node:util';
import { type GuardrailReport, measureGuardrail } from './control/guardrail.ts';
import { measureRoundTrips, type RoundTrip } from './control/round_trip.ts';

const TICK_MS = 100;
const POINTS_PER_SECOND = 10_000;

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, commands: { type: 'string' }, rollbacks: { type: 'string' } },
});
const commands = Number(values.commands ?? 2_000);
const roundTrips: RoundTrip[] = [];
for (const pointsPerSecond of [0, POINTS_PER_SECOND])
  for (const sessions of [1, 10, 100]) {
    const measured = await measureRoundTrips(sessions, commands, pointsPerSecond);
    roundTrips.push(measured);
    const { p50Ms, p99Ms, maxMs, cold, echo } = measured;
    const bare = `; cold: p99 ${cold.p99Ms} ms; an echo without agent: p50 ${echo.p50Ms} ms, p99 ${echo.p99Ms} ms, at most ${echo.maxMs} ms`;
    const load = pointsPerSecond === 0 ? '' : `, ${pointsPerSecond} points/s beside it`;
    if (!values.json)
      console.log(`${sessions} sessions${load}: p50 ${p50Ms} ms, p99 ${p99Ms} ms, at most ${maxMs} ms${bare}`);
  }
const guardrail: GuardrailReport = await measureGuardrail(Number(values.rollbacks ?? 20), TICK_MS);
if (values.json) console.log(JSON.stringify({ roundTrips, guardrail }, null, 2));
else {
  const { rollbacks, tickMs, p50Ms, maxMs, beyondTickMs } = guardrail;
  console.log(
    `from a crossed guardrail to the recorded value, ${rollbacks} times at a tick of ${tickMs} ms: ` +
      `p50 ${p50Ms} ms, at most ${maxMs} ms, which is a tick and ${beyondTickMs} ms`,
  );
}
