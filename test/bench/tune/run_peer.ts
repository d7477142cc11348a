import { performance } from 'node:perf_hooks';
import { baselineSetting, positionsOf, sameSetting, settingAt } from '../../sim/knob_space.ts';
import { Ledger } from '../../sim/ledger.ts';
import { createPlant } from '../../sim/plant/create.ts';
import type { Oracle } from '../../sim/plant/oracle.ts';
import { createRecorder, objectiveOf, type Recorder, resetRecorder } from '../../sim/plant/plant.ts';
import { Random, seedFor } from '../../sim/random.ts';
import { knobSpecs, type Scenario } from '../../sim/scenario.ts';
import type { Method, MethodContext, Observation } from './method.ts';
import { type RunScore, zigzags } from './score.ts';

const TEN_TIMES_SLOWER = Math.log(10);

/**
 * Runs an ask/tell method on a plant, window by window: apply, let settle, measure, tell. Settings take effect at once and no message
 * is lost: what a peer gets here is better than what any of them would have in production. Like our engine it sees the
 * histograms that the process exports, and like our engine it pays one export interval after a change, because the point that
 * straddles it mixes two settings.
 */
export function runPeer(
  scenario: Scenario,
  oracle: Oracle,
  makeMethod: (context: MethodContext) => Method,
  seed: number,
  runMs: number,
): RunScore {
  const knobs = knobSpecs(scenario);
  const baseline = baselineSetting(knobs);
  const plant = createPlant(scenario, runMs, seed);
  const ledger = new Ledger(scenario, plant, oracle);
  const random = new Random(seedFor(seed, 'method'));
  const method = makeMethod({ knobs, start: positionsOf(knobs, baseline), limits: scenario.limits, random });
  const settleMs = Math.max(scenario.telemetry.intervalMs, ...knobs.map((knob) => knob.settleMs));
  const recorder = createRecorder(scenario.telemetry.boundsS);
  const trace: (readonly number[])[] = [];
  let nowMs = 0;
  let setting = baseline;
  let lastY = 0;
  let cpuMs = 0;
  plant.apply(setting);

  /** False when the process died on the way. */
  const advance = (byMs: number): boolean => {
    const endMs = Math.min(runMs, nowMs + byMs);
    while (nowMs < endMs) {
      const stepMs = Math.min(endMs, nowMs + scenario.telemetry.intervalMs);
      ledger.span(nowMs, stepMs, setting, false);
      const died = plant.advance(stepMs, recorder);
      nowMs = stepMs;
      if (died) return false;
    }
    return true;
  };

  while (nowMs < runMs) {
    const askedMs = performance.now();
    const wanted = settingAt(knobs, method.ask());
    trace.push([...method.incumbent()]);
    cpuMs += performance.now() - askedMs;
    let lived = true;
    if (!sameSetting(wanted, setting)) {
      setting = wanted;
      plant.apply(setting);
      lived = advance(settleMs);
    }
    resetRecorder(recorder);
    const startMs = nowMs;
    lived &&= advance(scenario.windowMs);
    if (!lived) {
      ledger.killed();
      const backMs = Math.min(runMs, nowMs + scenario.restartMs);
      ledger.span(nowMs, backMs, baseline, true);
      nowMs = backMs;
      plant.restart(nowMs);
      setting = baseline;
      plant.apply(setting);
    }
    const toldMs = performance.now();
    const observation = observe(scenario, recorder, nowMs - startMs, lived, lastY);
    if (observation !== undefined) {
      lastY = lived ? observation.y : lastY;
      method.tell(observation);
    } else method.tell({ ...NOTHING_SEEN, y: lastY + TEN_TIMES_SLOWER, killed: !lived });
    cpuMs += performance.now() - toldMs;
  }
  const account = ledger.close();
  return {
    account,
    flaps: knobs.reduce(
      (sum, _, i) =>
        sum +
        zigzags(
          trace.map((positions) => positions[i]),
          0.1,
        ),
      0,
    ),
    cpuUsPerWindow: (1_000 * cpuMs) / Math.max(1, account.windows),
  };
}

const NOTHING_SEEN = { latencyMsMean: 0, latencyMsP95: 0, errorRatio: 1, offeredPerSecond: 0, memoryBytes: 0 };

function observe(
  scenario: Scenario,
  recorder: Recorder,
  lengthMs: number,
  lived: boolean,
  lastY: number,
): Observation | undefined {
  const requests = recorder.count + recorder.errorCount;
  if (recorder.count === 0 || lengthMs <= 0) return undefined;
  const signals = {
    latencyMsMean: (recorder.sumS / recorder.count) * 1_000,
    latencyMsP95: quantileMs(recorder, 0.95),
    errorRatio: recorder.errorCount / requests,
    requestsPerSecond: (recorder.count * 1_000) / lengthMs,
    memoryBytes: recorder.memoryBytes,
  };
  const y = lived ? objectiveOf(signals, scenario.objective) : lastY + TEN_TIMES_SLOWER;
  return { ...signals, y, offeredPerSecond: (requests * 1_000) / lengthMs, killed: !lived };
}

/** Linear within the bucket; the open bucket counts as twice its lower bound. */
function quantileMs(recorder: Recorder, share: number): number {
  const { bounds, counts } = recorder;
  let left = share * recorder.count;
  for (let i = 0; i < counts.length; i++) {
    if (left > counts[i]) {
      left -= counts[i];
      continue;
    }
    const low = i === 0 ? 0 : bounds[i - 1];
    const high = i < bounds.length ? bounds[i] : 2 * low;
    return 1_000 * (low + (high - low) * (counts[i] === 0 ? 1 : left / counts[i]));
  }
  return 1_000 * (bounds.at(-1) ?? 0);
}
