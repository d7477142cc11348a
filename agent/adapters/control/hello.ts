/** Reads a Hello into a manifest. What is in it comes from outside: all of it is checked, and every refusal names the place. */
import type { HeldKnob, KnobSpec, KnobValue, Manifest } from '../../core/model.ts';
import { Capability, type Hello } from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import { decodeInteger, decodeSpec, decodeValue } from '../../rpc/knob_codec.ts';
import { whyNotSound } from '../../rpc/knob_domain.ts';
import { tierWords } from '../../rpc/words.ts';

/** Characters that end a line or move a cursor could forge a line of a log. */
const NAME = /^[^\p{Cc}\p{Zl}\p{Zp}]+$/u;
/** Descriptions may have several lines. */
const PROSE = /^(?:[^\p{Cc}\p{Zl}\p{Zp}]|[\n\t])*$/u;
/** A name that leads elsewhere where somebody makes a path of it: absolute, with a backslash, or with . or .. in it. */
const PATH_TRICK = /^\/|\\|(?:^|\/)\.{1,2}(?:\/|$)/;
/** As long as an enum's own values may be. */
const MAX_VALUE = 64;
const MAX_NAME = 200;
const MAX_UID = 128;
const MAX_RESOURCE_ENTRIES = 64;
const MAX_RESOURCE_TEXT = 1_024;

type Refused = { readonly ok: false; readonly problem: string };

export type ReadHello = { readonly ok: true; readonly manifest: Manifest } | Refused;

export function readHello(hello: Hello, maxKnobs: number): ReadHello {
  return orRefused(() => ({ ok: true, manifest: manifestOf(hello, maxKnobs) }));
}

/** What a process says it holds, of the knobs that it has declared. */
export function readHolding(
  held: Hello['held'],
  specs: readonly KnobSpec[],
): { readonly ok: true; readonly held: readonly HeldKnob[] } | Refused {
  return orRefused(() => ({ ok: true, held: readHeld('holding', held, specs) }));
}

function orRefused<T>(read: () => T): T | Refused {
  try {
    return read();
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, problem: error.message };
    throw error;
  }
}

class Refusal extends Error {}

function manifestOf(hello: Hello, maxKnobs: number): Manifest {
  const component = text('hello.component', hello.component, MAX_NAME);
  if (PATH_TRICK.test(component))
    throw new Refusal(`hello.component ${quote(component)} reads like a path; allowed are names such as team/embedder`);
  const instanceUid = text('hello.instance_uid', hello.instanceUid, MAX_UID);
  const tier = tierWords.decode(hello.tier);
  if (tier === undefined) throw new Refusal(`hello.tier is ${hello.tier}; allowed are the tiers CRITICAL to RESEARCH`);
  const incarnation = decodeInteger(hello.incarnation);
  if (incarnation === undefined) throw new Refusal(`hello.incarnation ${hello.incarnation} is above 2^53 - 1`);
  const resource = readResource(hello.resource);
  const knobs = readKnobs(hello, maxKnobs);
  const pid = readPid(resource['process.pid']);
  return {
    component,
    tier,
    instanceUid,
    incarnation,
    resource,
    knobs,
    held: readHeld('hello', hello.held, knobs),
    ...(hello.capabilities.includes(Capability.VALIDATE_ONLY) && { validates: true }),
    ...(pid !== undefined && { pid }),
  };
}

function readResource(resource: Hello['resource']): Readonly<Record<string, string>> {
  const entries = Object.entries(resource);
  if (entries.length > MAX_RESOURCE_ENTRIES)
    throw new Refusal(`hello.resource has ${entries.length} entries; allowed are ${MAX_RESOURCE_ENTRIES}`);
  for (const [key, value] of entries) {
    text('hello.resource key', key, MAX_NAME);
    if (value.length > MAX_RESOURCE_TEXT)
      throw new Refusal(`hello.resource[${quote(key)}] is longer than ${MAX_RESOURCE_TEXT} characters`);
  }
  return Object.fromEntries(entries);
}

/** A pid that makes no sense is no reason to refuse a process: it is only where its CPU and memory are looked for. */
function readPid(text: string | undefined): number | undefined {
  const pid = Number(text);
  return Number.isSafeInteger(pid) && pid > 0 && pid <= 2 ** 22 ? pid : undefined;
}

function readKnobs({ knobs }: Hello, maxKnobs: number): readonly KnobSpec[] {
  if (knobs.length > maxKnobs)
    throw new Refusal(`hello.knobs has ${knobs.length} entries; allowed are ${maxKnobs} a component`);
  const specs = new Map<string, KnobSpec>();
  for (const [i, wire] of knobs.entries()) {
    const where = `hello.knobs[${i}] (${quote(wire.id)})`;
    const spec = decodeSpec(wire);
    if ('problem' in spec) throw new Refusal(`${where}: ${spec.field} ${spec.problem}`);
    const flaw = whyNotSound(spec);
    if (flaw) throw new Refusal(`${where}: ${flaw.field} ${flaw.problem}`);
    const forgery = whyForged(spec);
    if (forgery !== undefined) throw new Refusal(`${where}: ${forgery} has control characters`);
    if (specs.has(spec.id)) throw new Refusal(`${where}: id is that of an earlier knob; ids are unique in a component`);
    specs.set(spec.id, spec);
  }
  for (const [i, { id, conditionalOn }] of [...specs.values()].entries())
    if (conditionalOn && (conditionalOn.knob === id || !specs.has(conditionalOn.knob)))
      throw new Refusal(
        `hello.knobs[${i}] (${quote(id)}): conditional_on names ${quote(conditionalOn.knob)}, which is no other knob`,
      );
  return [...specs.values()];
}

/** Which of a knob's texts could forge a line of a log, if any. */
function whyForged(spec: KnobSpec): string | undefined {
  if (!PROSE.test(spec.description)) return 'description';
  if (spec.unit !== '' && !NAME.test(spec.unit)) return 'unit';
  if (spec.blastRadius !== undefined && !PROSE.test(spec.blastRadius)) return 'blast_radius';
  return spec.type === 'enum' && !spec.values.every((value) => NAME.test(value)) ? 'a value' : undefined;
}

/** Of the knob's own type. A word may be one that the knob does not have, but not one that floods or forges a log. */
export function isValueOf(spec: KnobSpec, value: KnobValue | undefined): value is KnobValue {
  if (typeof value !== typeof spec.baseline || value === undefined) return false;
  return typeof value !== 'string' || (value.length <= MAX_VALUE && NAME.test(value));
}

function readHeld(message: string, held: Hello['held'], specs: readonly KnobSpec[]): readonly HeldKnob[] {
  if (held.length > specs.length)
    throw new Refusal(
      `${message}.held has ${held.length} entries; allowed are as many as there are knobs, ${specs.length}`,
    );
  return held.map(({ knob, value: wireValue, epoch: wireEpoch, revision: wireRevision, manual }, i) => {
    const where = `${message}.held[${i}] (${quote(knob)})`;
    const spec = specs.find(({ id }) => id === knob);
    if (!spec) throw new Refusal(`${where}: there is no such knob in hello.knobs`);
    const value = decodeValue(wireValue);
    if (!isValueOf(spec, value)) throw new Refusal(`${where}: value is not one of a knob of type ${spec.type}`);
    const epoch = decodeInteger(wireEpoch);
    const revision = decodeInteger(wireRevision);
    if (epoch === undefined || revision === undefined)
      throw new Refusal(`${where}: epoch or revision is above 2^53 - 1`);
    return { knob, value, epoch, revision, manual };
  });
}

function text(where: string, value: string, maxLength: number): string {
  if (value.length === 0 || value.length > maxLength || !NAME.test(value))
    throw new Refusal(`${where} ${quote(value)} is not 1 to ${maxLength} characters without control characters`);
  return value;
}

/** Cut and escaped: what is quoted may be hostile. */
export function quote(value: string): string {
  const text = JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  // What JSON leaves as it is: DEL, the C1 controls, and the line ends of Unicode.
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
